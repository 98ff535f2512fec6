"""What strict JSON of the Open Inference Protocol does not have: unknown members, repeated ones, numbers that are not finite.

Where a signature or a type tells more about a value, as about a tensor's elements, it is checked there.
"""

import difflib
import math
from collections.abc import Collection, Iterator
from itertools import islice
from typing import Any, Final, TypeAlias

from gateway.codec.problems import MAX_PROBLEMS, Problems, Repeating, describe_value

Path: TypeAlias = tuple[str | int, ...]

_MOST_COMPARED: Final = 100  # characters of an unknown name that are compared with the known ones


def find(known: Collection[str], value: dict[str, Any], path: Path, problems: Problems) -> None:
    """Add to ``problems`` what is wrong with the members of ``value`` at ``path`` besides their types.

    ``known`` are the members that it may have. Its ``parameters`` may hold anything that strict JSON has.
    """
    _tell_unknown(known, value, path, problems)
    _tell_repeated(value, path, problems)
    for place, expected, got in islice(misplaced(value.get("parameters"), (*path, "parameters")), problems.room):
        problems.note(place, expected, got)


def misplaced(value: Any, path: Path = ()) -> Iterator[tuple[Path, str, str]]:
    """What strict JSON does not have, anywhere in a free ``value``: the place, what was expected and what came."""
    # Neither recursion nor a list of all that is still to be seen: the value may be deep, and may be large.
    within: list[Iterator[tuple[Path, Any]]] = [iter(((path, value),))]
    while within:
        place, item = next(within[-1], (None, None))
        if place is None:
            within.pop()
        elif isinstance(item, dict | list):
            for name in item.repeated if isinstance(item, Repeating) else ():
                yield (*place, name), "each member once", "a repeated name"
            within.append(_members(item, place))
        elif isinstance(item, float) and not math.isfinite(item):
            yield place, "a number that JSON has", describe_value(item)


def _members(value: dict[str, Any] | list[Any], path: Path) -> Iterator[tuple[Path, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return (((*path, step), item) for step, item in items)


def _tell_unknown(known: Collection[str], value: dict[str, Any], path: Path, problems: Problems) -> None:
    unknown = (name for name in value if name not in known)
    for name in islice(unknown, problems.room):
        is_told = len(problems.kept) < MAX_PROBLEMS
        near = difflib.get_close_matches(name[:_MOST_COMPARED].lower(), known, n=1) if is_told else []
        hint = f" (the nearest is {near[0]})" if near else ""
        problems.note((*path, name), f"only the members {', '.join(known)}{hint}", "an unknown name")


def _tell_repeated(value: dict[str, Any], path: Path, problems: Problems) -> None:
    for name in islice(value.repeated if isinstance(value, Repeating) else (), problems.room):
        problems.note((*path, name), "each member once", "a repeated name")
