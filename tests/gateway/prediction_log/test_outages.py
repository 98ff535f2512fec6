"""While a sink fails, requests go on, and no row is lost without being counted.

By default the phases are as short as they can be; with LONG_TESTS=1 each takes 20 seconds.
"""

import asyncio
import os
import time

import pytest
from structlog.testing import capture_logs

from gateway.prediction_log.log import PredictionLog
from gateway.prediction_log.row import FeedbackRow, PredictionRow
from gateway.prediction_log.rules import Rules
from gateway.prediction_log.sinks.address import sink_at
from gateway.prediction_log.sinks.sink import Filter
from tests.event_loop import on_loop, until
from tests.gateway.prediction_log.making import a_label, is_exact, offer
from tests.gateway.prediction_log.outages import OUTAGES
from tests.postgres import PASSWORD

LONG = os.environ.get("LONG_TESTS") == "1"
PHASE_S = 20.0 if LONG else 0.0
CLIENTS = 64


class Traffic:
    """Clients that offer rows one after the other, and note how long each took."""

    def __init__(self, log: PredictionLog) -> None:
        self.count = 0
        self.feedback = 0
        self.seconds: list[float] = []
        self._log = log
        self._clients = [asyncio.create_task(self._client()) for _ in range(CLIENTS)]

    async def stop(self) -> None:
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def phase(self, is_over) -> list[float]:
        """The seconds of the calls until ``is_over``, and for as long as a phase lasts."""
        self.seconds = []
        until_s = time.monotonic() + PHASE_S
        await until(lambda: time.monotonic() >= until_s and is_over(), timeout_s=60 + PHASE_S)
        return self.seconds

    async def _client(self) -> None:
        while True:
            await asyncio.sleep(0.02)
            started_s = time.perf_counter()
            offer(self._log)
            self.seconds.append(time.perf_counter() - started_s)
            self.count += 1
            if self.count % 50 == 0:
                self._log.feedback(a_label())
                self.feedback += 1


def p99_us(seconds) -> int:
    return round(sorted(seconds)[int(len(seconds) * 0.99)] * 1e6)


def rows_of(address):
    sink = sink_at(address)
    try:
        return [list(sink.read(kind, Filter())) for kind in (PredictionRow, FeedbackRow)]
    finally:
        sink.close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("make_outage", OUTAGES, ids=lambda outage: outage.__name__)
@on_loop
async def test_requests_go_on_while_the_sink_fails_and_every_row_is_accounted_for(make_outage, tmp_path):
    with make_outage(tmp_path) as outage, capture_logs() as lines:
        is_hanging = make_outage.__name__ == "postgres_hangs"
        is_away_at_start = make_outage.__name__ == "sqlite_not_a_database"
        log = PredictionLog(sink_at(outage.address), Rules(), max_bytes=2**20)
        tally = log.predictions
        log.start()
        traffic = Traffic(log)
        before = await traffic.phase(lambda: is_away_at_start or tally.written >= 200)
        await asyncio.to_thread(outage.begin)
        during = await traffic.phase(lambda: tally.full >= 500 and (is_hanging or lines))
        await asyncio.to_thread(outage.end)
        written, full = tally.written, tally.full + log.feedbacks.full
        after = await traffic.phase(lambda: tally.written >= written + 2000)
        await traffic.stop()
        await asyncio.to_thread(log.close)
        print(
            f"{make_outage.__name__}: p99 of an offer, us: {p99_us(before or during)} {p99_us(during)} {p99_us(after)} {tally}"
        )

        assert (tally.offered, log.feedbacks.offered) == (traffic.count, traffic.feedback)
        assert is_exact(log)
        assert (tally.queued, tally.refused, tally.failed, tally.stopped) == (0, 0, 0, 0)
        predictions, feedback = await asyncio.to_thread(rows_of, outage.address)
        assert (len(predictions), len(feedback)) == (tally.written, log.feedbacks.written)
        assert len({row.seq for row in predictions}) == len(predictions) == tally.kept - tally.full
        events = [line["event"] for line in lines]
        # A statement that hung is ended by its time limit when the server goes on, if that is over, or else succeeds.
        assert events.count("prediction_log.away") in ((0, 1) if is_hanging else (1,))
        told = sum(line.get("lost", 0) for line in lines)
        assert told == tally.full + log.feedbacks.full >= full
        assert PASSWORD not in str(lines)
        print(*lines, sep="\n")
