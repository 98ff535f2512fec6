"""The program whose instructions are counted: ``python -m benchmarks.instructions.program FOLDER``, for the metrics' files.

For each case it sends some requests to get warm, then N requests, then 2 N. Between the two marks around each there is nothing
but the requests. What N and 2 N have alike (the marks, work that is done once) is in both counts, so their difference is of N
requests. Every answer is checked, outside of the marks.
"""

import asyncio
import gc
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Final

from benchmarks.contender import Call as Request
from benchmarks.errors import BenchError, WrongAnswer
from benchmarks.instructions import callgrind
from benchmarks.instructions.cases import CASES, Case, expected
from benchmarks.instructions.loop import Loop
from benchmarks.load import request_headers
from benchmarks.workload import is_right
from gateway.call import Answer, Call, Handler
from gateway.telemetry.shared_values import SharedValues

# Log lines and metrics are written once for so many requests: as many as come in 10 ms under load.
_WRITTEN_TOGETHER: Final = 64
# Of a picture, for each counted one; of the others at least as many as a batch is proven by.
_WARM_UP: Final = 2


async def run(cases: Sequence[Case], answer: Handler, loop: Loop, keys: Mapping[str, str]) -> None:
    """Send the requests of each case, N and 2 N between marks. ``keys``: texts of keys by their names. Raises WrongAnswer."""
    for case in cases:
        key = keys[case.key] if case.key else ""
        await _send(case, _WARM_UP * case.requests, answer, loop, key)
        # The objects that are here to stay are out of the collector's way, or its full collections would fall into some counts.
        gc.collect()
        gc.freeze()
        for count in (case.requests, 2 * case.requests):
            await _send(case, count, answer, loop, key)


async def _send(case: Case, count: int, answer: Handler, loop: Loop, key: str) -> None:
    calls = [_call(case.ask(case.rows(number)), key) for number in range(count)]
    answers: list[Answer] = []
    callgrind.mark()
    for start in range(0, count, case.together):
        answers += await asyncio.gather(*map(answer, _complete(calls[start : start + case.together])))
        if len(answers) % _WRITTEN_TOGETHER == 0:
            loop.do_waiting()
    callgrind.mark()
    loop.do_waiting()
    for number, answered in enumerate(answers):
        _check(case, number, answered)
        # An answer that was not kept would be counted as one that is dear to keep.
        if case.is_kept and number and ("X-Cache", "hit") not in answered.headers:
            raise BenchError(f"{case.name}: the headers of answer {number} are {answered.headers}")


def _complete(calls: Sequence[Call]) -> Sequence[Call]:
    """Return the calls, complete as of now: their deadlines begin."""
    for call in calls:
        call.complete_s = time.monotonic()
    return calls


def _call(request: Request, key: str) -> Call:
    """Return the call that the server would make of the request."""
    named = {"Host": "127.0.0.1", **request.headers, **request_headers.fresh(), "Content-Length": str(len(request.body))}
    if key:
        del named[request_headers.AUTHORIZATION]
        named["X-API-Key"] = key
    headers = {name.lower(): value for name, value in named.items()}
    return Call(request.method, request.path, "", headers, request.body, complete_s=0.0)


def _check(case: Case, number: int, answered: Answer) -> None:
    if answered.status != case.status:
        raise BenchError(f"{case.name}: status {answered.status}, not {case.status}: {answered.body[:200]!r}")
    if case.read is not None and not is_right(case.read(answered.body), expected(case.rows(number))):
        raise WrongAnswer(f"{case.name}: {answered.body[:200]!r}")


async def main(loop: Loop) -> None:
    """Send the requests of all cases to the handlers of a gateway, one for all cases with the same log and traces."""
    from benchmarks.instructions import handler  # noqa: PLC0415 - declares the metrics

    for (logged, traced), cases in groupby(CASES, attrgetter("logged", "traced")):
        async with handler.opened(logged, traced) as (answer, keys):
            await run(tuple(cases), answer, loop, keys)


if __name__ == "__main__":
    SharedValues(Path(sys.argv[1])).use()
    own_loop = Loop()
    with asyncio.Runner(loop_factory=lambda: own_loop) as runner:
        runner.run(main(own_loop))
