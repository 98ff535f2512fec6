"""Instructions for each request beside those that are kept: what a change costs."""

from collections.abc import Mapping
from typing import Any, Final

from benchmarks.reporting.report import number, table

# Two counts of the same code differ by up to 0.2 %: the digits of the times in a log line are not always as many.
_SAME: Final = 0.005


def told(now: Mapping[str, int], kept: Mapping[str, int]) -> str:
    """The table of both, and the change where it is more than 0.5 %."""
    rows = [[name, number(kept.get(name)), number(count), _change(count, kept.get(name))] for name, count in now.items()]
    return table(("instructions for each request", "kept", "now", "change"), rows)


def differences(now: Mapping[str, Any], kept: Mapping[str, Any]) -> list[str]:
    """What else may have changed the counts: the processor, Python, and the versions of packages, where they differ."""
    before, after = _facts(kept), _facts(now)
    return [f"{name}: {before.get(name)} -> {after.get(name)}" for name in after if after[name] != before.get(name)]


def _facts(machine: Mapping[str, Any]) -> dict[str, Any]:
    return {"cpu": machine["cpu"], "python": machine["python"], **machine["packages"]}


def _change(now: int, kept: int | None) -> str:
    if kept is None:
        return "new"
    change = now / kept - 1
    return "" if abs(change) <= _SAME else f"**{change:+.1%}**"
