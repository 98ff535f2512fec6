"""The problems of a request, collected within bounds: a body with a million bad elements does not make a million problems."""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

from gateway.codec import b64
from gateway.codec.raw_text import legible_text
from gateway.errors import InvalidArgument, Problem

MAX_PROBLEMS: Final = 20  # reported with their place; the others are only counted
MAX_COUNTED: Final = 10_000  # the search for problems stops there
_TEXT_LENGTH: Final = 40
_NAME_LENGTH: Final = 200

MISSING: Final = object()
"""Stands for a value that the request does not have."""


class Repeating(dict[str, Any]):
    """A JSON object that has a name more than once. It holds the first member of each name; ``repeated`` lists those names.

    A reader that accepts nothing but a ``dict`` by its very type, as the elements of tensors do, refuses it.
    """

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.update(reversed(pairs))
        self.repeated = tuple(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)


class Problems:
    """The first problems in the order in which they were added, and the count of all that were found. Not thread-safe."""

    def __init__(self) -> None:
        self.kept: list[Problem] = []
        self.count = 0

    @property
    def room(self) -> int:
        """How many more are worth looking for."""
        return max(0, MAX_COUNTED - self.count)

    def add(self, path: Iterable[str | int], expected: str, got: Any) -> None:
        """Note that ``got`` stands at ``path`` (names and indices, from the outside in) where ``expected`` should be."""
        self.note(path, expected, describe_value(got) if len(self.kept) < MAX_PROBLEMS else "")

    def note(self, path: Iterable[str | int], expected: str, got: str) -> None:
        """As ``add``, with what was got as a phrase."""
        self.count += 1
        if len(self.kept) < MAX_PROBLEMS:
            self.kept.append(Problem(json_pointer(path), expected, got))

    def extend(self, others: "Problems", place: Callable[[str], str]) -> None:
        """Add the problems of a part of the request; ``place`` turns a pointer into the part into one into the whole."""
        room = MAX_PROBLEMS - len(self.kept)
        self.kept += [replace(problem, pointer=place(problem.pointer)) for problem in others.kept[:room]]
        self.count += others.count

    @classmethod
    def merged(cls, parts: Iterable["Problems"], order: Callable[[Problem], int]) -> "Problems":
        """The problems of several parts of the request, by ``order``."""
        merged = cls()
        for part in parts:
            merged.kept += part.kept
            merged.count += part.count
        merged.kept = sorted(merged.kept, key=order)[:MAX_PROBLEMS]
        return merged

    def invalid_argument(self, text: str) -> InvalidArgument:
        """The error whose message is ``text`` and then a line for each problem."""
        return InvalidArgument("\n".join([text, *self._lines()]), self.kept, self.count - len(self.kept))

    def summary(self) -> InvalidArgument:
        """The error whose message is one line: how many problems there are, and which."""
        count = f"{self._at_least}{self.count} problem{'' if self.count == 1 else 's'}"
        return InvalidArgument(f"{count}: " + "; ".join(self._lines()), self.kept, self.count - len(self.kept))

    @property
    def _at_least(self) -> str:
        return "" if self.room else "at least "

    def _lines(self) -> list[str]:
        lines = [str(problem) for problem in self.kept]
        return lines + ([f"… and {self._at_least}{self.count - MAX_PROBLEMS} more"] if self.count > MAX_PROBLEMS else [])


def json_pointer(path: Iterable[str | int]) -> str:
    """The RFC 6901 pointer of ``path``; a very long name is cut."""
    return "".join("/" + cut_text(str(step), _NAME_LENGTH).replace("~", "~0").replace("/", "~1") for step in path)


def describe_value(value: Any) -> str:
    """``value`` as a short phrase: ``null``, ``3.5``, ``string "abc"``, ``list of 2``, ``an object``."""
    match value:
        case Repeating():
            return f"an object with {_quoted(value.repeated[0])} more than once"
        case str():
            return f"string {_quoted(value)}"
        case {b64.KEY: str(text)} if len(value) == 1:
            return f"{{{json.dumps(b64.KEY)}: {_quoted(text)}}}"
        case list() if value:
            return f"list of {len(value)}"
        case list() | dict():
            return ("an empty " if not value else "an ") + ("list" if isinstance(value, list) else "object")
        case _:
            return "nothing" if value is MISSING else json.dumps(value)


def _quoted(text: str) -> str:
    return json.dumps(cut_text(text, _TEXT_LENGTH), ensure_ascii=False)


def cut_text(text: str, length: int) -> str:
    """``text`` made legible, or its first ``length`` characters and an ellipsis."""
    return legible_text(text if len(text) <= length else text[:length] + "…")
