"""How large bodies are held up."""

import pytest

from gateway.server.connections import ReceivedBodies
from gateway.server.limits import Limits

BOUND = 64 << 20


class Upload:
    def __init__(self) -> None:
        self.is_held_up = False

    def hold_up(self, is_held_up: bool) -> None:
        self.is_held_up = is_held_up


@pytest.fixture
def uploads() -> list[Upload]:
    return [Upload() for _ in range(4)]


@pytest.fixture
def bodies() -> ReceivedBodies:
    return ReceivedBodies(Limits(2000, 1000, 1))


def begun(bodies: ReceivedBodies, uploads: list[Upload]) -> list[bool]:
    for upload in uploads:
        bodies.count(upload, 0, is_large=True)
    return held_up(uploads)


def held_up(uploads: list[Upload]) -> list[bool]:
    return [upload.is_held_up for upload in uploads]


def test_within_the_bound_nobody_is_held_up(bodies, uploads):
    bodies.count(Upload(), BOUND, is_large=False)
    assert begun(bodies, uploads) == [False] * 4


def test_beyond_the_bound_all_but_the_oldest_are_held_up_and_those_that_begin_then(bodies, uploads):
    begun(bodies, uploads[:3])
    bodies.count(uploads[1], BOUND + 1, is_large=True)
    assert held_up(uploads) == [False, True, True, False]
    bodies.count(uploads[3], 1, is_large=True)
    assert held_up(uploads) == [False, True, True, True]


def test_when_the_oldest_has_come_it_is_the_next_ones_turn(bodies, uploads):
    begun(bodies, uploads)
    bodies.count(uploads[0], BOUND + 1, is_large=True)
    bodies.count(uploads[0], 0, is_large=False)
    assert held_up(uploads[1:]) == [False, True, True]


def test_one_that_is_alone_is_never_held_up(bodies, uploads):
    """The bytes are those of requests in work."""
    bodies.count(Upload(), 10 * BOUND, is_large=False)
    assert begun(bodies, uploads[:1]) == [False]


def test_when_there_is_room_again_all_go_on(bodies, uploads):
    begun(bodies, uploads)
    bodies.count(uploads[0], BOUND + 50, is_large=True)
    bodies.count(uploads[0], -50, is_large=True)
    assert held_up(uploads) == [False] * 4
    assert bodies.bytes == BOUND


def test_one_that_was_never_large_may_end(bodies, uploads):
    bodies.count(uploads[0], 0, is_large=False)


@pytest.mark.parametrize(("limit", "bound"), [(2000, 64 << 20), (32 << 20, 128 << 20)])
def test_there_is_room_for_four_of_the_largest_and_for_64_mib(uploads, limit, bound):
    bodies = ReceivedBodies(Limits(limit, 1000, 1))
    begun(bodies, uploads[:2])
    bodies.count(uploads[0], bound, is_large=True)
    assert held_up(uploads[:2]) == [False, False]
    bodies.count(uploads[0], 1, is_large=True)
    assert held_up(uploads[:2]) == [False, True]
