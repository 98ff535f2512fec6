"""How large bodies are held up."""

import pytest

from gateway.server.limits import Limits
from gateway.server.received import ReceivedBodies


class Upload:
    def __init__(self) -> None:
        self.is_paused = False

    def pause(self) -> None:
        self.is_paused = True

    def resume(self) -> None:
        self.is_paused = False


@pytest.fixture
def uploads() -> list[Upload]:
    return [Upload() for _ in range(4)]


def begun(bodies: ReceivedBodies, uploads: list[Upload]) -> list[bool]:
    for upload in uploads:
        bodies.begin(upload)
    return paused(uploads)


def paused(uploads: list[Upload]) -> list[bool]:
    return [upload.is_paused for upload in uploads]


def test_within_the_bound_nobody_is_paused(uploads):
    bodies = ReceivedBodies(100)
    bodies.add(100)
    assert begun(bodies, uploads) == [False] * 4


def test_beyond_the_bound_all_but_the_oldest_are_paused_and_those_that_begin_then(uploads):
    bodies = ReceivedBodies(100)
    begun(bodies, uploads[:3])
    bodies.add(101)
    assert paused(uploads) == [False, True, True, False]
    bodies.begin(uploads[3])
    assert paused(uploads) == [False, True, True, True]


def test_when_the_oldest_has_come_it_is_the_next_ones_turn(uploads):
    bodies = ReceivedBodies(100)
    begun(bodies, uploads)
    bodies.add(101)
    bodies.end(uploads[0])
    assert paused(uploads[1:]) == [False, True, True]


def test_one_that_is_alone_is_never_paused(uploads):
    """The bytes are those of requests in work."""
    bodies = ReceivedBodies(100)
    bodies.add(1000)
    assert begun(bodies, uploads[:1]) == [False]


def test_when_there_is_room_again_all_go_on(uploads):
    bodies = ReceivedBodies(100)
    begun(bodies, uploads)
    bodies.add(150)
    bodies.add(-50)
    assert paused(uploads) == [False] * 4
    assert bodies.bytes == 100


def test_one_that_was_never_large_may_end(uploads):
    ReceivedBodies(100).end(uploads[0])


@pytest.mark.parametrize(("limit", "bound"), [(2000, 64 << 20), (32 << 20, 128 << 20)])
def test_there_is_room_for_four_of_the_largest_and_for_64_mib(uploads, limit, bound):
    bodies = ReceivedBodies.within(Limits(limit, 1000, 1))
    begun(bodies, uploads[:2])
    bodies.add(bound)
    assert paused(uploads[:2]) == [False, False]
    bodies.add(1)
    assert paused(uploads[:2]) == [False, True]
