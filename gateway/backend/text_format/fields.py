"""The fields of a message in protobuf's text format, with the places where they are written.

It knows the format's shape and no message: text that protobuf's own parser has taken is read right, and other text is not.
https://protobuf.dev/reference/protobuf/textformat-spec/
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_TOKEN: Final = re.compile(
    r"""\s+ | \#[^\n]*
    | (?P<string> "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' )
    | (?P<mark> [{}<>\[\]:,;] )
    | (?P<word> [^\s\#"'{}<>\[\]:,;]+ )""",
    re.VERBOSE | re.DOTALL,
)
_ENDS: Final = {"{": "}", "<": ">"}


@dataclass(frozen=True, slots=True)
class Field:
    """One field: ``text[start:end]``; up to ``stop`` with the comma or semicolon that may follow it.

    ``bodies`` are the fields of the message that it holds, or of each message of its list; empty for any other value.
    """

    name: str
    start: int
    end: int
    stop: int
    bodies: tuple[tuple["Field", ...], ...]


def fields_of(text: str) -> tuple[Field, ...]:
    """The fields of the message that ``text`` is. Raises ValueError when it is none."""
    return _Reader(text).fields(None)


class _Reader:
    """Reads one token after the other; ``end`` is where the last one that was passed ends."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._read()
        self._next = next(self._tokens, None)
        self.end = 0

    def fields(self, closing: str | None) -> tuple[Field, ...]:
        """The fields up to the mark ``closing``, which is passed (None: up to the end)."""
        found = []
        while self._next is not None and self._mark != closing:
            found.append(self._field())
        if closing is not None:
            self._take(closing)
        return tuple(found)

    def _field(self) -> Field:
        start = self._start
        name = self._name()
        if self._mark == ":":
            self._advance()
        bodies = self._value()
        end = self.end
        if self._mark in (",", ";"):
            self._advance()
        return Field(name, start, end, self.end, bodies)

    def _name(self) -> str:
        """A field's name, or that of an extension or an Any in brackets."""
        first = self._advance()
        if first != "[":
            return first
        while self._advance() != "]":
            pass
        return ""

    def _value(self) -> tuple[tuple[Field, ...], ...]:
        if self._mark in _ENDS:
            return (self.fields(_ENDS[self._advance()]),)
        if self._mark == "[":
            return self._list()
        self._scalar()
        return ()

    def _list(self) -> tuple[tuple[Field, ...], ...]:
        self._take("[")
        bodies: list[tuple[Field, ...]] = []
        while self._mark != "]":
            bodies += self._value()
            if self._mark == ",":
                self._advance()
        self._take("]")
        return tuple(bodies)

    def _scalar(self) -> None:
        """A word, or strings that are written one behind the other. A sign may stand apart from its number."""
        is_string = self._next is not None and self._next["string"] is not None
        if self._advance() == "-":
            self._advance()
        while is_string and self._next is not None and self._next["string"] is not None:
            self._advance()

    @property
    def _mark(self) -> str:
        return "" if self._next is None else self._next["mark"] or ""

    @property
    def _start(self) -> int:
        return len(self._text) if self._next is None else self._next.start()

    def _take(self, mark: str) -> None:
        if self._mark != mark:
            raise ValueError(f"expected {mark!r}")
        self._advance()

    def _advance(self) -> str:
        """Pass the next token, and return its text."""
        passed = self._next
        if passed is None:
            raise ValueError("unexpected end")
        self.end = passed.end()
        self._next = next(self._tokens, None)
        return passed[0]

    def _read(self) -> Iterator[re.Match[str]]:
        at = 0
        while at < len(self._text):
            token = _TOKEN.match(self._text, at)
            if token is None:
                raise ValueError(f"unexpected {self._text[at]!r}")
            at = token.end()
            if token.lastgroup is not None:
                yield token
