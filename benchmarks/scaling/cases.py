"""What happens to the servers under load, one case after another, and what of it is enough."""

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil
from typing import Final

from benchmarks.load.open_loop import Running
from benchmarks.load.records import Outcome, Records
from benchmarks.rollouts.figures import failed
from benchmarks.rollouts.told import Bar
from benchmarks.scaling.figures import back_after_s, late, outcomes, p99_ms, rate
from benchmarks.scaling.fleet import SLOW, USUAL, Fleet, Front

_FOUND_S: Final = 5.0
"""After the age of a connection: until then an added server must have its share."""
_SHARE: Final = 0.25
_BACK_S: Final = 5.0
_PART: Final = 0.6
_PRE_STOP_S: Final = 5.0
_WATCHED_S: Final = 10.0
_NOBODY: Final = 99
"""The number of a server that does not exist."""
LEAST_LOADED: Final = "least_loaded"


@dataclass(frozen=True)
class Scene:
    """A gateway before the fleet, and how it is measured: ``clients``, seconds of load, and of each failure of DNS."""

    fleet: Fleet
    front: Front
    balancing: str
    clients: int
    seconds: float
    age_s: int
    dns_s: float

    @contextmanager
    def load(self) -> Iterator[Running]:
        """A load that is in its stride, with every server that the name has in use."""
        load = self.front.load(self.clients)
        try:
            for number in USUAL:
                if self.fleet.address(number) in self.fleet.names.addresses:
                    self.fleet.wait_for_calls(number)
            time.sleep(2.0)
            yield load
        finally:
            load.end()


@dataclass(frozen=True)
class Found:
    """The figures of a case as they are shown, by name, and its bars."""

    figures: Mapping[str, str]
    bars: Sequence[Bar] = field(default=())


def added(scene: Scene) -> Found:
    """The name has two servers, and then a third one too."""
    fleet = scene.fleet
    fleet.name(1, 2)
    with scene.load() as load:
        before, at_s = _calls(fleet), time.monotonic()
        fleet.name(*USUAL)
        fleet.wait_for_calls(3)
        first_s = time.monotonic() - at_s
        time.sleep(max(0.0, scene.age_s + _FOUND_S - first_s))
        after = _calls(fleet)
        records = load.finish()
    gained = {number: after[number] - before[number] for number in USUAL}
    share = gained[3] / sum(gained.values())
    within = f"{scene.age_s + _FOUND_S:g} s"
    return Found(
        {"first call after, s": f"{first_s:.1f}", f"share in {within}": f"{share:.1%}", "failed": _failed(records)},
        [
            Bar(f"2 to 3 servers, share of the third within {within} at least {_SHARE:.0%}", f"{share:.1%}", share >= _SHARE),
            _none_failed("2 to 3 servers", records),
        ],
    )


def removed(scene: Scene) -> Found:
    """The name loses one of three servers, which is told to end some seconds later, as a preStop hook has it."""
    fleet = scene.fleet
    fleet.name(*USUAL)
    with scene.load() as load:
        fleet.name(1, 2)
        time.sleep(_PRE_STOP_S)
        fleet.stop(3)
        time.sleep(_PRE_STOP_S)
        records = load.finish()
    fleet.start(3)
    return Found({"failed": _failed(records)}, [_none_failed("3 to 2 servers", records)])


def stopped(scene: Scene) -> Found:
    """One of three servers hangs."""
    fleet = scene.fleet
    fleet.name(*USUAL)
    with scene.load() as load:
        begun_s = time.monotonic()
        time.sleep(scene.seconds)
        at_s = time.monotonic()
        fleet.signal(3, signal.SIGSTOP)
        time.sleep(_WATCHED_S)
        until_s = time.monotonic()
        fleet.signal(3, signal.SIGCONT)
        records = load.finish()
    before_ms = p99_ms(records, begun_s, at_s)
    after_ms = p99_ms(records, at_s + _BACK_S, until_s)
    back_s, count = back_after_s(records, at_s, until_s, before_ms), late(records.between(begun_s, until_s), at_s, before_ms)
    most = f"p99 at most 2 times within {_BACK_S:g} s"
    return Found(
        {
            "p99 before, ms": f"{before_ms:.0f}",
            "p99 later, ms": f"{after_ms:.0f}",
            "back after, s": f"{back_s:.0f}",
            "late or failed calls": str(count),
            "outcomes": outcomes(records),
        },
        [
            Bar(f"one of three hangs, {most}", f"after {back_s:.0f} s", back_s <= _BACK_S),
            Bar(f"one of three hangs, no client is late twice ({scene.clients})", str(count), count <= scene.clients),
        ],
    )


def killed(scene: Scene) -> Found:
    """One of three servers dies."""
    fleet = scene.fleet
    fleet.name(*USUAL)
    with scene.load() as load:
        time.sleep(scene.seconds)
        fleet.signal(3, signal.SIGKILL)
        time.sleep(_WATCHED_S)
        records = load.finish()
    fleet.stop(3)
    fleet.start(3)
    in_flight, refused = ceil(scene.clients / len(USUAL)), len(records.of(Outcome.REFUSED))
    others = failed(records) - refused
    return Found(
        {"503": str(refused), "failed otherwise": str(others), "of": f"{len(records):,}"},
        [
            Bar(f"one of three dies, 503s at most its calls in flight ({in_flight})", str(refused), refused <= in_flight),
            Bar("one of three dies, nothing else fails", str(others), others == 0),
        ],
    )


def slow(scene: Scene) -> Found:
    """Three servers, and then one of them is ten times slower than the others."""
    fleet, rates = scene.fleet, []
    for numbers in (USUAL, (1, 2, SLOW)):
        fleet.name(*numbers)
        with scene.load() as load:
            fleet.wait_for_calls(numbers[-1])
            time.sleep(_PRE_STOP_S)  # until the server that is not in the name any more is let go of
            begun_s = time.monotonic()
            time.sleep(scene.seconds)
            until_s = time.monotonic()
            rates.append(rate(load.finish(), begun_s, until_s))
    part = rates[1] / rates[0]
    bar = Bar(f"one of three is ten times slower, throughput at least {_PART:.0%}", f"{part:.1%}", part >= _PART)
    return Found(
        {"three, requests/s": f"{rates[0]:.0f}", "one slow, requests/s": f"{rates[1]:.0f}", "part": f"{part:.1%}"},
        [bar] if scene.balancing == LEAST_LOADED else [],
    )


def names(scene: Scene) -> Found:
    """DNS has no address, a wrong one, an error, and no answer at all, each for some time."""
    fleet, found = scene.fleet, {}
    failures: dict[str, Callable[[], object]] = {
        "empty": fleet.name,
        "wrong": lambda: fleet.name(_NOBODY),
        "SERVFAIL": lambda: setattr(fleet.names, "fails", True),
        "silent": lambda: setattr(fleet.names, "is_silent", True),
    }
    bars = []
    for what, fail in failures.items():
        fleet.name(*USUAL)
        with scene.load() as load:
            fail()
            time.sleep(scene.dns_s)
            fleet.name(*USUAL)
            fleet.names.fails = fleet.names.is_silent = False
            time.sleep(_PRE_STOP_S)
            records = load.finish()
        found[f"DNS {what}: failed"] = _failed(records)
        bars.append(_none_failed(f"DNS {what} for {scene.dns_s:g} s", records))
    return Found(found, bars)


CASES: Final[Mapping[str, Callable[[Scene], Found]]] = {
    "added": added,
    "removed": removed,
    "stopped": stopped,
    "killed": killed,
    "slow": slow,
    "names": names,
}


def _calls(fleet: Fleet) -> dict[int, int]:
    return {number: fleet.calls(number) for number in USUAL}


def _failed(records: Records) -> str:
    return f"{failed(records)} of {len(records):,}"


def _none_failed(what: str, records: Records) -> Bar:
    return Bar(f"{what}, no failed request", outcomes(records), failed(records) == 0)
