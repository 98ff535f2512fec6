"""A fault tried once: 16 clients before, while it lasts and after it, until all is right again."""

import time
from collections import Counter
from dataclasses import dataclass

from tests.faults.fault import Fault
from tests.faults.scene import IS_LONG, Scene
from tests.stack.checking_client import CheckingClient
from tests.waiting import wait_for

CLIENTS = 16
EVERY_S = 0.05  # a client asks: the load is no fault
PATIENCE_S = 60.0  # longer than anything may take
LASTS_S = 3.0 if IS_LONG else 0.5
ENOUGH = CLIENTS * 3
RIGHT_FOR_S = 1.0


@dataclass(frozen=True)
class Row:
    """What came of it. ``got``: answers by status, and connections that ended without one."""

    number: str
    what: str
    got: dict[str, int]
    right_again_s: float
    remark: str


def try_fault(fault: Fault, scene: Scene) -> Row:
    """Fails when an answer was wrong, when a request was left without any end, or when clients got what they must not."""
    with CheckingClient(scene.port, CLIENTS, every_s=EVERY_S, patience_s=PATIENCE_S, is_right=fault.is_right) as client:
        scene.client = client
        tally = client.tally
        wait_for(lambda: tally.answered[200] >= ENOUGH)
        before = _counts(client)
        assert set(before) == {"200"}, before
        with fault.around(scene):
            until_s = time.monotonic() + LASTS_S
            _wait_until_seen(fault, client)
            time.sleep(max(0.0, until_s - time.monotonic()))
        ended_s = time.monotonic()
        _wait_until_right(scene, client, ended_s)
    # All clients have ended their last request now.
    got = _counts(client) - before
    assert tally.wrong == [], tally.wrong[:3]
    assert tally.unanswered == 0, got
    allowed = {"200", *map(str, fault.gets)} | ({"closed", "cut", "refused"} if fault.closes else set())
    assert set(got) <= allowed, f"{fault}: {got}\n{scene.log()[-4000:]}"
    return Row(fault.number, fault.what, dict(got), round(max(0.0, tally.last_bad_s - ended_s), 1), fault.remark)


def _wait_until_seen(fault: Fault, client: CheckingClient) -> None:
    """Clients have got all that they must."""
    try:
        wait_for(lambda: all(client.tally.answered[status] for status in fault.must), 30)
    except AssertionError as error:
        raise AssertionError(f"{sorted(fault.must)} did not come: {_counts(client)} {client.tally.wrong[:3]}") from error


def _wait_until_right(scene: Scene, client: CheckingClient, ended_s: float) -> None:
    """Every request has been answered rightly for a second, on every connection, and the gateway says that it is ready."""
    tally = client.tally

    def is_right() -> bool:
        return time.monotonic() > max(tally.last_bad_s, ended_s) + RIGHT_FOR_S and tally.good_in_a_row >= ENOUGH

    try:
        wait_for(lambda: is_right() and scene.stack.is_ready(), 60, 0.1)
    except AssertionError as error:
        raise AssertionError(f"{_counts(client)}\n{scene.log()[-4000:]}") from error


def _counts(client: CheckingClient) -> Counter[str]:
    tally = client.tally
    ends = {"closed": tally.never_taken + tally.lost, "cut": tally.cut, "refused": tally.refused}
    return +Counter({str(status): count for status, count in tally.answered.items()} | ends)
