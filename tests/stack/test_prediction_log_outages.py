"""64 clients of a real gateway while its database fails and comes back: every prediction is answered, every row accounted for.

By default the phases are as short as they can be; with LONG_TESTS=1 each takes 20 seconds.
"""

import os
import time
from collections import Counter

import pytest

from gateway.backend.stubs import DataType
from tests.gateway.fake_serving import Version, signature
from tests.gateway.prediction_log import outages
from tests.postgres import PASSWORD
from tests.stack.checking_client import CheckingClient
from tests.stack.logged_gateway import is_exact, logged_gateway
from tests.waiting import wait_for

PHASE_S = 20.0 if os.environ.get("LONG_TESTS") == "1" else 0.0
CLIENTS = 64
OUTAGES = [
    outages.sqlite_locked,
    outages.postgres_stopped,
    outages.postgres_hangs,
    outages.postgres_black_hole,
    outages.postgres_wrong_password,
    outages.postgres_disk_full,
]
if os.geteuid() == 0:
    OUTAGES.append(outages.sqlite_disk_full)  # only root can make a small disk

_FLOATS = signature({"x": (DataType.DT_FLOAT, [-1])}, {"y": (DataType.DT_FLOAT, [-1])})
HALF_PLUS_TWO = Version(lambda inputs: {"y": inputs["x"] / 2 + 2}, {"serving_default": _FLOATS})


class Phases:
    """The seconds that the requests of each phase took."""

    def __init__(self, client: CheckingClient) -> None:
        self._client = client
        self.p99_ms: list[float] = []

    def run(self, is_over) -> None:
        began, until_s = len(self._client.tally.seconds), time.monotonic() + PHASE_S
        wait_for(lambda: time.monotonic() >= until_s and is_over(), 60 + PHASE_S, 0.2)
        seconds = sorted(self._client.tally.seconds[began:])
        self.p99_ms.append(round(seconds[int(len(seconds) * 0.99)] * 1000, 1))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("make_outage", OUTAGES, ids=lambda outage: outage.__name__)
def test_64_clients_see_nothing_of_a_database_that_fails_and_every_row_is_accounted_for(make_outage, tmp_path):
    with (
        make_outage(tmp_path) as outage,
        logged_gateway(tmp_path, outage.address, prediction_log_queue_bytes=2**20) as gateway,
    ):
        gateway.fake.models["half_plus_two"] = {1: HALF_PLUS_TWO}
        with CheckingClient(gateway.port, CLIENTS) as client:
            phases = Phases(client)
            wait_for(lambda: gateway.counts()["written"] >= 500)  # warm
            written = gateway.counts()["written"]
            phases.run(lambda: gateway.counts()["written"] >= written + 1000)
            outage.begin()
            dropped = gateway.counts()["dropped_full"]
            phases.run(lambda: gateway.counts()["dropped_full"] >= dropped + 500)
            outage.end()
            written = gateway.counts()["written"]
            phases.run(lambda: gateway.counts()["written"] >= written + 4000)
        tally = client.tally
        answered = sum(tally.answered.values())
        wait_for(lambda: gateway.is_settled(answered), 30)
        counts, rows = gateway.counts(), gateway.predictions()
        gateway.process.stop()
        events = gateway.events()  # those of the end are among them
    print(f"{make_outage.__name__}: p99 in ms before, during and after: {phases.p99_ms}; {dict(tally.answered)} {counts}")
    assert tally.answered.keys() == {200}
    assert (tally.wrong, tally.lost, tally.cut, tally.never_taken) == ([], 0, 0, 0)

    assert is_exact(counts)
    assert counts["kept"] == answered
    assert counts["dropped_failed"] == counts["dropped_refused"] == counts["dropped_stop"] == 0
    assert len(rows) == len({(row.boot, row.seq) for row in rows}) == counts["written"]
    last = Counter[str]()
    for row in rows:
        last[row.boot] = max(last[row.boot], row.seq)
    # Each gap is a loss. What a worker lost at last, after all that it wrote, is no gap.
    assert 500 <= sum(last.values()) - len(rows) <= counts["dropped_full"]
    told = sum(event.get("lost", 0) for event in events if event.get("logger") == "prediction_log")
    assert told == counts["dropped_full"]
    assert PASSWORD not in str(events)
