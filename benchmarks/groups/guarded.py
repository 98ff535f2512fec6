"""What keys, limits and the prediction log cost: the gateway with each of them beside one with none, before one model server.

Every gateway gets the same requests, which carry some keys in turn; one that asks for none does not look at them. The limits
are rates, because a limit whose requests are counted one by one has at most 256 of them, which a benchmark would use up.
"""

import http.client
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks import logged_rows, ours
from benchmarks.bench import Bench
from benchmarks.beside import CLIENTS, PLAIN, ROUNDS, Backend, measure_beside
from benchmarks.contender import JSON, Contender
from benchmarks.errors import BenchError
from benchmarks.load.exchange import draw_inputs, send
from benchmarks.programs.processes import free_port, running_contender
from benchmarks.rounds import Case, measure
from benchmarks.sample import Point
from benchmarks.workload import Workload
from gateway.access import key_file, key_text
from gateway.access.key import EVERY_MODEL, Key
from gateway.access.key_text import NewKey
from gateway.access.limits.limit import parse_limits

FIELDS: Final = ("front_cpu_us", "rps")
_KEYS: Final = 8
# More than all that can be sent.
_LIMITS: Final = "100000000/min; 1000000000/day"
_DATABASE: Final = "predictions.db"


@dataclass(frozen=True)
class Guard:
    """What a gateway has. ``limits``: of each key, as text. ``logged``: the part that its log keeps; None: it has no log."""

    name: str
    has_keys: bool = False
    limits: str = ""
    logged: float | None = None


GUARDS: Final = (
    Guard(PLAIN),
    Guard("with keys", has_keys=True),
    Guard("with keys and two limits", has_keys=True, limits=_LIMITS),
    Guard("with a prediction log", logged=1.0),
    Guard("with a prediction log of 1 %", logged=0.01),
)


def run(bench: Bench, least_rounds: int = ROUNDS) -> dict[str, Any]:
    """Points for each, their ratios to the plain gateway, round by round, and where the requests to each log went."""
    logs: dict[str, Counter[str]] = {}
    measured = measure_beside(bench, "guarded", GUARDS, partial(_turn, bench, logs), FIELDS, least_rounds=least_rounds)
    return {**measured, "logs": logs}


def _turn(bench: Bench, logs: dict[str, Counter[str]], guard: Guard, asked: Workload, backend: Backend) -> list[Point]:
    """Return a point with one window for each number of clients; add to ``logs`` where the requests went, if there is a log."""
    # The database gets some hundred megabytes large.
    with TemporaryDirectory(dir=bench.plan.scratch) as folder:
        contender = _contender(guard, backend, asked.model, Path(folder))
        with running_contender(contender, bench.logs_dir, (backend.server,)) as one:
            check(guard, contender, asked)
            cases = [Case(one, asked, clients, label={"clients": clients}) for clients in CLIENTS]
            points = measure(cases, replace(bench.plan, rounds=1), bench.progress)
            if guard.logged is not None:
                logs.setdefault(guard.name, Counter()).update(_logged(guard, contender.port, Path(folder) / _DATABASE, points))
    if guard.limits and any(sample.refused for point in points for sample in point.samples):
        raise BenchError(f"{guard.name}: a limit was used up, so that the cost of an answer is not known")
    return points


def _contender(guard: Guard, backend: Backend, model: str, folder: Path) -> Contender:
    keys = [key_text.new() for _ in range(_KEYS)]
    settings: dict[str, str] = {}
    if guard.has_keys:
        settings["GATEWAY_KEYS_FILE"] = _write_keys(folder / "keys.jsonl", keys, guard.limits)
    if guard.logged is not None:
        settings["GATEWAY_PREDICTION_LOG"] = f"sqlite:///{folder / _DATABASE}"
        settings["GATEWAY_PREDICTION_LOG_SAMPLE"] = str(guard.logged)
    port = free_port()
    front = ours.gateway(port, backend.config, backend.port, f"guarded {guard.name}", settings)
    return Contender(guard.name, port, front, ours.encodings(model), keys=[new.text for new in keys])


def _write_keys(path: Path, keys: Sequence[NewKey], limits: str) -> str:
    """Write a key file, and return its path. The keys have names of their own, or they would share their limits."""
    now = datetime.now(UTC)
    known = [
        Key(id=new.id, name=new.id, sha256=new.sha256, scopes=("predict",), models=EVERY_MODEL, limits=limits, created=now)
        for new in keys
    ]
    key_file.change(path, parse_limits, lambda _: known)
    return str(path)


def check(guard: Guard, contender: Contender, asked: Workload) -> None:
    """Raise BenchError unless the gateway asks for keys and counts limits as it should, or it would be measured as cheap."""
    call = contender.encodings[JSON].ask(draw_inputs(asked, 1, 1, seed=5)[0])
    with closing(http.client.HTTPConnection("127.0.0.1", contender.port, timeout=10)) as connection:
        answers = []
        for keys in ((), contender.keys):
            answer = send(connection, call, keys)
            answer.read()
            answers.append(answer)
    unknown, known = answers
    found = (unknown.status, known.status, known.headers.get("RateLimit-Policy", "").count("q="))
    expected = (401 if guard.has_keys else 200, 200, 2 if guard.limits else 0)
    if found != expected:
        raise BenchError(f"{guard.name}: statuses without a key and with one, and limits, are {found}, not {expected}")


def _logged(guard: Guard, port: int, database: Path, points: list[Point]) -> dict[str, int]:
    """Return where the requests went. Raises BenchError when the log has not kept what it should have."""
    found = logged_rows.settled(guard.name, port, database)
    sent = sum(sample.requests for point in points for sample in point.samples)
    is_sampled = guard.logged != 1.0
    if found.requests < sent or not found.rows or bool(found.unsampled) != is_sampled:
        raise BenchError(f"{guard.name}: of {sent} requests that were answered the log knows {asdict(found)}")
    return asdict(found)
