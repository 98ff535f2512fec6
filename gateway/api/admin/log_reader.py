"""Reads the prediction log for one process while it is written: the newest rows, in a thread of its own."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final, TypeVar

from gateway.deadline import Deadline
from gateway.errors import DeadlineExceeded, Unavailable
from gateway.prediction_log.row import PredictionRow
from gateway.prediction_log.sinks.address import sink_at
from gateway.prediction_log.sinks.sink import Filter, Sink, SinkAway

Result = TypeVar("Result")

# A row may have megabytes of values: never more rows than these are in memory at a time.
_PAGE_ROWS: Final = 20


class LogReader:
    """Reads the sink at ``address``, which is opened with the first use. For one event loop.

    At most one reading at a time uses the sink: the others wait for their turn, and those that are given up leave the queue.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._thread = ThreadPoolExecutor(1, "log-reader")
        self._sink: Sink | None = None

    async def newest(self, where: Filter, deadline: Deadline, made: Callable[[PredictionRow], Result]) -> list[Result]:
        """What ``made`` makes, in that thread, of the newest ``where.newest`` rows, the newest first.

        Raises:
            Unavailable: the sink cannot be used now; the message says why.
            DeadlineExceeded: the rows were not read in time.
        """
        reading = asyncio.get_running_loop().run_in_executor(self._thread, self._read, where, made)
        try:
            async with asyncio.timeout(deadline.remaining_s()):
                return await reading
        except TimeoutError:
            budget_ms = round(deadline.budget_s * 1000)
            error = DeadlineExceeded(
                f"the prediction log was not read within {budget_ms} ms: ask for less, such as from=2026-11-28"
            )
            raise error.decided_by("GATEWAY_PREDICT_TIMEOUT_MS", budget_ms) from None
        except SinkAway as away:
            raise Unavailable(f"the prediction log cannot be read: {away}") from None

    async def close(self) -> None:
        """Close the sink. No reading may be asked for any more; one that runs is waited for."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._thread.shutdown(cancel_futures=True)
        if self._sink is not None:
            self._sink.close()

    def _read(self, where: Filter, made: Callable[[PredictionRow], Result]) -> list[Result]:
        if self._sink is None:
            self._sink = sink_at(self._address)
        return [made(row) for row in _newest_first(self._sink, where)]


def _newest_first(sink: Sink, where: Filter) -> Iterator[PredictionRow]:
    """The newest ``where.newest`` rows, a page at a time."""
    left, to_us = where.newest or 0, where.to_us
    given: set[tuple[str, int]] = set()  # of the oldest time that was given, which the next page begins with
    while left > 0:
        most = min(_PAGE_ROWS, left) + len(given)
        page = list(sink.read(PredictionRow, replace(where, to_us=to_us, newest=most)))
        fresh = [row for row in reversed(page) if (row.boot, row.seq) not in given]
        yield from fresh
        left -= len(fresh)
        if len(page) < most or not fresh:
            return
        oldest = fresh[-1].ts
        given = {(row.boot, row.seq) for row in page if row.ts == oldest}
        to_us = oldest + 1
