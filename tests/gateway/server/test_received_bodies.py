"""How large bodies are held up."""

import pytest

from gateway.server.connections import ReceivedBodies
from gateway.server.limits import SMALL_BODY_BYTES, Limits

BOUND = 64 << 20
PART = 2 * SMALL_BODY_BYTES  # of a large body


class Upload:
    def __init__(self) -> None:
        self.is_held_up = False
        self.received_bytes = 0

    def receive(self, bodies: ReceivedBodies, added_bytes: int) -> None:
        """A part of its body comes, or, below zero, what is held of it becomes less."""
        self.received_bytes += added_bytes
        bodies.count(self, added_bytes, self.received_bytes)

    def hold_up(self, is_held_up: bool) -> None:
        self.is_held_up = is_held_up


@pytest.fixture
def uploads() -> list[Upload]:
    return [Upload() for _ in range(4)]


@pytest.fixture
def bodies() -> ReceivedBodies:
    return ReceivedBodies(Limits(2000, 1000, 1))


def begun(bodies: ReceivedBodies, uploads: list[Upload]) -> list[bool]:
    """Each of ``uploads`` has received its first part of a large body."""
    for upload in uploads:
        upload.receive(bodies, PART)
    return held_up(uploads)


def held_up(uploads: list[Upload]) -> list[bool]:
    return [upload.is_held_up for upload in uploads]


def test_within_the_bound_nobody_is_held_up(bodies, uploads):
    bodies.count(Upload(), BOUND - 4 * PART, 0)
    assert begun(bodies, uploads) == [False] * 4


def test_beyond_the_bound_all_but_the_oldest_are_held_up_and_those_that_begin_then(bodies, uploads):
    begun(bodies, uploads[:3])
    uploads[1].receive(bodies, BOUND + 1 - bodies.bytes)
    assert held_up(uploads) == [False, True, True, False]
    uploads[3].receive(bodies, PART)
    assert held_up(uploads) == [False, True, True, True]


def test_when_the_oldest_has_come_it_is_the_next_ones_turn(bodies, uploads):
    begun(bodies, uploads)
    uploads[1].receive(bodies, BOUND - bodies.bytes)
    bodies.count(uploads[0], 1, 0)
    assert held_up(uploads[1:]) == [False, True, True]


def test_the_oldest_is_held_up_only_while_the_bodies_in_work_are_alone_beyond_the_bound(bodies, uploads):
    in_work = Upload()
    bodies.count(in_work, BOUND, 0)
    assert begun(bodies, uploads[:2]) == [False, True]
    bodies.count(in_work, 1, 0)
    assert held_up(uploads[:2]) == [True, True]
    bodies.count(in_work, -1, 0)
    assert held_up(uploads[:2]) == [False, True]
    bodies.count(in_work, -BOUND, 0)
    assert held_up(uploads[:2]) == [False, False]


def test_when_there_is_room_again_all_go_on(bodies, uploads):
    begun(bodies, uploads)
    uploads[0].receive(bodies, BOUND + 50 - bodies.bytes)
    assert held_up(uploads) == [False, True, True, True]
    uploads[0].receive(bodies, -50)
    assert held_up(uploads) == [False] * 4
    assert bodies.bytes == BOUND


def test_one_that_was_never_large_may_end_and_is_never_held_up(bodies, uploads):
    bodies.count(uploads[0], 0, 0)
    uploads[1].receive(bodies, SMALL_BODY_BYTES)
    bodies.count(Upload(), 2 * BOUND, 0)
    assert held_up(uploads) == [False] * 4


@pytest.mark.parametrize(("limit", "bound"), [(2000, 64 << 20), (32 << 20, 128 << 20)])
def test_there_is_room_for_four_of_the_largest_and_for_64_mib(uploads, limit, bound):
    bodies = ReceivedBodies(Limits(limit, 1000, 1))
    begun(bodies, uploads[:2])
    uploads[0].receive(bodies, bound - bodies.bytes)
    assert held_up(uploads[:2]) == [False, False]
    uploads[0].receive(bodies, 1)
    assert held_up(uploads[:2]) == [False, True]


def test_the_most_that_may_come_is_twice_the_bound_and_one_body():
    """Nothing is answered, and a hundred clients send bodies of the largest size, a part each in turn."""
    size = BOUND // 4
    bodies = ReceivedBodies(Limits(size, 1000, 1))
    senders = [Upload() for _ in range(100)]
    most, is_moving = 0, True
    while is_moving:
        is_moving = False
        for sender in senders:
            if sender.received_bytes < size and not sender.is_held_up:
                sender.received_bytes += PART
                bodies.count(sender, PART, sender.received_bytes % size)  # nothing of it is to come when it is whole
                is_moving = True
                most = max(most, bodies.bytes)
    assert 2 * BOUND - size <= most <= 2 * BOUND + size + 100 * PART
