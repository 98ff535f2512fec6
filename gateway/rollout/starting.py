"""What a person asks for when a rollout is to begin, and the draft of a plan that becomes of it."""

import math
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

import msgspec

from gateway.durations import parse_duration
from gateway.errors import InvalidArgument, Problem
from gateway.rollout.mode import parse_mode
from gateway.rollout.plan import ANY_OUTPUT, ATOL, PER_REQUEST, RTOL, OnBad, Plan, Tolerance
from gateway.rollout.steps import DEFAULT_STEPS, parse_share, parse_steps

MOST_ALPHA: Final = 0.2
ENOUGH_CELLS: Final = 200
LOW_TRAFFIC_CELLS: Final = 20
_MOST_VERSION: Final = 2**63 - 1
_MOST_KEEP_S: Final = 30 * 86_400
_MOST_RATIO: Final = 1000


class Unfit(InvalidArgument):
    """Raised when no plan can be made of what was asked for: ``problems`` lists all that is wrong."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)), problems)


class WantedTolerance(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How much a float may differ from stable's."""

    rtol: float = RTOL
    atol: float = ATOL


class Wanted(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The body of a request that begins a rollout, and what the command line's options make. A ``Plan`` explains each member.

    ``steps``, ``shadow``, ``sticky`` (null: each request for itself) and ``keep_old`` are text that ``steps.py``, ``mode.py``
    and ``durations.py`` read. ``tolerances`` by output; ``*`` is every other one. ``low_traffic``: 20 cells of each arm are
    enough. ``again``: although the canary was taken back before; ``back``: although it is older than stable.
    """

    canary: int
    stable: int | None = None
    steps: str = DEFAULT_STEPS
    shadow: str = "0%"
    sticky: str | None = None
    on_bad: OnBad = OnBad.ROLLBACK
    alpha: float = 0.01
    error_ratio: float = 1.5
    slow_ratio: float = 2.0
    most_disagreement: float = 0.01
    most_bad: float = 0.05
    tolerances: dict[str, WantedTolerance] = {}
    second_opinion: bool = True
    keep_old: str = "10m"
    low_traffic: bool = False
    again: bool = False
    back: bool = False


def plan_of(model: str, wanted: Wanted, author: str, now_us: int, previous: Plan | None = None) -> Plan:
    """The draft of a rollout of ``model``. ``previous``: the newest rollout of the model that there was.

    If that one is still open, it pins a version: the draft takes this over as stable, so that no request ever goes unpinned to
    the newest version that is loaded, which may be the one that failed. Another stable only takes its place if no model server
    answers with it, which a gateway knows. Raises Unfit.
    """
    pinned = previous.kept if previous is not None and previous.is_open else None
    problems = [problem for check in _CHECKS for problem in check(wanted)] + list(_pinned_problems(wanted, pinned))
    read = {name: _read(wanted, name, parse, problems) for name, parse in _READERS.items()}
    if problems:
        raise Unfit(problems)
    own = {name: getattr(wanted, name) for name in _AS_THEY_ARE}
    return Plan(
        id=f"{model}-{wanted.canary}-{secrets.token_hex(3)}",
        model=model,
        stable=wanted.stable if pinned is None else pinned,
        tolerances={ANY_OUTPUT: Tolerance()} | {name: Tolerance(one.rtol, one.atol) for name, one in wanted.tolerances.items()},
        has_second_opinion=wanted.second_opinion,
        is_again=wanted.again,
        is_back=wanted.back,
        salt=secrets.token_hex(8),
        author=author,
        created_us=now_us,
        state_us=now_us,
        step_us=now_us,
        stays_open=pinned is not None,
        moves_to=wanted.stable if pinned not in (None, wanted.stable) else None,
        leaves=_left(previous) if previous is not None and previous.is_open else (),
        least_cells=LOW_TRAFFIC_CELLS if wanted.low_traffic else ENOUGH_CELLS,
        **{_NAMES.get(name, name): value for name, value in (read | own).items()},
    )


def _left(previous: Plan) -> tuple[int, ...]:
    """What an ended rollout, and those before it, have left loaded, and its ``clean`` would let go."""
    known = {previous.stable, previous.canary, *previous.leaves} - {previous.kept}
    return tuple(sorted(version for version in known if version is not None))


def read_wanted(body: bytes) -> Wanted:
    """What a JSON body asks for. Raises Unfit if it is no JSON, or has a member that is unknown or of a wrong type."""
    try:
        return msgspec.json.decode(body, type=Wanted)
    except msgspec.ValidationError as error:
        raise Unfit([_problem_of(str(error))]) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unfit([Problem("", "a JSON object", str(error))]) from None


def _parse_keep(text: str) -> int:
    seconds = parse_duration(text)
    if seconds is None or seconds > _MOST_KEEP_S:
        raise ValueError(f"expected a time from 0s to 30d, such as 10m, got {text!r}")
    return seconds


def _parse_sticky(text: str | None) -> str:
    return PER_REQUEST if text is None else parse_mode(text)


_AS_THEY_ARE: Final = ("canary", "on_bad", "alpha", "error_ratio", "slow_ratio", "most_disagreement", "most_bad")
_NAMES: Final = {"sticky": "mode", "keep_old": "keep_old_s"}
_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "steps": parse_steps,
    "shadow": parse_share,
    "sticky": _parse_sticky,
    "keep_old": _parse_keep,
}


def _read(wanted: Wanted, name: str, parse: Callable[[Any], Any], problems: list[Problem]) -> Any:
    """What a member that is a text means; None after a problem was added."""
    try:
        return parse(getattr(wanted, name))
    except ValueError as error:
        expected, _, got = str(error).removeprefix("expected ").partition(", got ")
        problems.append(Problem(f"/{name}", expected, got))
        return None


@dataclass(frozen=True, slots=True)
class _Bounds:
    """The values that a number may have: ``least`` itself only if ``has_least``; ``most`` itself always."""

    least: float
    most: float
    has_least: bool = True

    def __contains__(self, value: float) -> bool:
        return math.isfinite(value) and self.least <= value <= self.most and (self.has_least or value > self.least)

    def __str__(self) -> str:
        return f"a number from {self.least:g} to {self.most:g}" if self.has_least else f"a number over 0, at most {self.most:g}"


_BOUNDS: Final = {
    "alpha": _Bounds(0, MOST_ALPHA, has_least=False),
    "error_ratio": _Bounds(1, _MOST_RATIO),
    "slow_ratio": _Bounds(1, _MOST_RATIO),
    "most_disagreement": _Bounds(0, 0.5, has_least=False),
    "most_bad": _Bounds(0, 0.5, has_least=False),
}
_TOLERANCE: Final = _Bounds(0, 1e30)


def _numbers(wanted: Wanted) -> Iterator[Problem]:
    for name, bounds in _BOUNDS.items():
        if getattr(wanted, name) not in bounds:
            yield Problem(f"/{name}", str(bounds), f"{getattr(wanted, name):g}")


def _tolerances(wanted: Wanted) -> Iterator[Problem]:
    for output, tolerance in wanted.tolerances.items():
        for name in ("rtol", "atol"):
            if getattr(tolerance, name) not in _TOLERANCE:
                yield Problem(f"/tolerances/{_escaped(output)}/{name}", str(_TOLERANCE), f"{getattr(tolerance, name):g}")


def _versions(wanted: Wanted) -> Iterator[Problem]:
    for name in ("canary", "stable"):
        version = getattr(wanted, name)
        if version is not None and not 0 <= version <= _MOST_VERSION:
            yield Problem(f"/{name}", f"a version from 0 to {_MOST_VERSION}", str(version))
    if wanted.stable == wanted.canary:
        yield Problem("/stable", "another version than the canary", str(wanted.stable))


def _first_step(wanted: Wanted) -> Iterator[Problem]:
    """A step without callers waits for compared answers, of which there are none without a shadow."""
    try:
        is_blind = parse_steps(wanted.steps)[0].weight == 0 and parse_share(wanted.shadow) == 0
    except ValueError:
        return
    if is_blind:
        yield Problem("/shadow", "more than 0% while the first step is 0%", wanted.shadow)


_CHECKS: Final = (_versions, _numbers, _tolerances, _first_step)


def _pinned_problems(wanted: Wanted, pinned: int | None) -> Iterator[Problem]:
    if wanted.canary == pinned:
        yield Problem("/canary", "another version than the one that answers alone since the last rollout", str(pinned))


def _problem_of(message: str) -> Problem:
    """msgspec's message, such as ``Expected `int`, got `str` - at `$.canary```, as a problem."""
    told, _, path = message.partition(" - at `")
    # It does not name the key of a map: the pointer ends there.
    steps = path.rstrip("`").partition("[")[0].split(".")[1:]
    pointer = "".join(f"/{_escaped(step)}" for step in steps)
    expected, is_typed, got = told.removeprefix("Expected ").partition(", got ")
    if is_typed:
        return Problem(pointer, expected, got)
    members = _members(WantedTolerance if steps[:1] == ["tolerances"] else Wanted)
    unknown, missing = (told.partition(f"{what} field `")[2].rstrip("`") for what in ("unknown", "required"))
    if unknown:
        near = "".join(f", which is near to `{one}`" for one in get_close_matches(unknown, members, 1))
        return Problem(pointer, f"only the members {', '.join(members)}", f"the unknown member `{unknown}`{near}")
    if missing:
        return Problem(pointer, f"the member `{missing}`", "an object without it")
    if told == "Number out of range":
        return Problem(pointer, "a number that fits into 64 bits", "one that is out of range")
    enum = ", ".join(OnBad) if steps == ["on_bad"] else "what a rollout has there"
    return Problem(pointer, enum, told)


def _members(kind: type[msgspec.Struct]) -> list[str]:
    return [field.name for field in msgspec.structs.fields(kind)]


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
