"""RapidJSON's reading of a body: what plain JSON parsers refuse or read otherwise, and every error in its words.

``util/json_tensor.cc`` allows NaN and Inf and stops at the end of the document. Here the standard library's decoder does that,
by hooks. It runs in C, so that a hostile body costs time in proportion to its length. The strict reading only refuses what is
not one JSON document: it still reads NaN and Inf, so that a problem can name their place.
"""

import json
import math
import re
from typing import Any, Final

from gateway.codec import raw_text
from gateway.codec.problems import Repeating
from gateway.errors import InvalidArgument, Problem

_BOM: Final = b"\xef\xbb\xbf"
# Strings are taken whole (an unfinished one to the end of the text), so that what they hold is never mistaken for structure.
_STRING: Final = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'
_BRACKETS: Final = re.compile(_STRING + r"|[][{}]", re.DOTALL)
_SPELLINGS: Final = re.compile(_STRING + r"|-?Inf(?:inity)?|-NaN", re.DOTALL)
_SPELLING: Final = re.compile(r"-?Inf|-NaN")
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")
# A pair is matched whole, so that its second half is not taken for a low surrogate alone.
_LOW_SURROGATES: Final = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u([dD][c-fC-F][0-9a-fA-F]{2})|\\.", re.DOTALL
)
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)

_UNCLOSED: Final = "Missing a closing quotation mark in string."
_BAD_ESCAPE: Final = "Invalid escape character in string."
# The standard library's reasons (by their beginning) in RapidJSON's words (``rapidjson/error/en.h``).
_REASONS: Final = {
    "Expecting property name": "Missing a name for object member.",
    "Illegal trailing comma before end of object": "Missing a name for object member.",
    "Expecting ':'": "Missing a colon after a name of object member.",
    "Unterminated string": _UNCLOSED,
    "Invalid control character": _BAD_ESCAPE,
    "Invalid \\escape": _BAD_ESCAPE,
    "Invalid \\uXXXX": "Incorrect hex digit after \\u escape in string.",
}
_TOO_BIG: Final = "Number too big to be stored in double."
_SPACE: Final = b" \t\r\n"
_SHOWN_BYTES: Final = 40  # of what follows a document


def parse(body: bytes, raw_strings: bool = False, strict: bool = False) -> Any:
    """The value of ``body``, as ``json_text.parse`` describes it. That function tries a faster decoder first."""
    if not body:
        raise InvalidArgument("JSON Parse error: The document is empty")
    offset = len(_BOM) if body.startswith(_BOM) else 0
    if strict and offset:
        raise _not_one_document("JSON without a byte order mark", "a byte order mark")
    if raw_strings:
        return _decode_raw(_LOW_SURROGATES.sub(_as_bytes, raw_text.decode(body[offset:])), offset)
    document, rest = _decode_utf8(body, offset, _TELLING_DECODER if strict else _DECODER)
    if strict and rest.strip(_SPACE):
        raise _not_one_document("nothing after the JSON document", _shown(rest))
    return document


def _decode_raw(text: str, offset: int) -> Any:
    """The document of a body whose strings, but for names, may hold any bytes."""
    try:
        return _decode(text, offset, _RAW_DECODER)[0]
    except _RawName as error:
        raise _refusal("Invalid encoding in string.", _place(text, text.find(error.name), offset)) from None


def _as_bytes(escape: re.Match[str]) -> str:
    """A low surrogate without its high one as the bytes that RapidJSON's encoder makes of it; any other escape as it is."""
    return raw_text.decode(chr(int(escape[1], 16)).encode(errors="surrogatepass")) if escape[1] else escape[0]


def _decode_utf8(body: bytes, offset: int, decoder: json.JSONDecoder) -> tuple[Any, bytes]:
    """The document of a body, and what follows it."""
    try:
        text = body[offset:].decode()
    except UnicodeDecodeError as error:
        return _decode_before(body, offset, error.start, decoder)
    document, rest = _decode(text, offset, decoder)
    return document, rest.encode()


def _decode_before(body: bytes, offset: int, size: int, decoder: json.JSONDecoder) -> tuple[Any, bytes]:
    """As ``_decode_utf8``, for a body that is UTF-8 for ``size`` bytes only: the document has to end within them."""
    try:
        document, rest = _decode(body[offset : offset + size].decode(), offset, decoder)
    except InvalidArgument:
        raise _refusal("Invalid encoding in string.", offset + size) from None
    return document, rest.encode() + body[offset + size :]


def _decode(text: str, offset: int, decoder: json.JSONDecoder) -> tuple[Any, str]:
    """The document that ``text`` begins with, and the rest of it."""
    start = len(text) - len(text.lstrip(" \t\r\n"))
    if start == len(text):
        raise _refusal("The document is empty.", offset + start)
    try:
        document, end = decoder.raw_decode(text, start)
    except _TooBig as error:
        raise _refusal(_TOO_BIG, _place(text, text.find(error.literal), offset)) from None
    except json.JSONDecodeError as error:
        if _SPELLING.match(text, error.pos) and (usual := _SPELLINGS.sub(_usual_spelling, text)) != text:
            return _decode(usual, offset, decoder)
        raise _refusal(_reason(error), _place(text, error.pos, offset)) from None
    except RecursionError:
        raise InvalidArgument("JSON Parse error: The document is nested too deeply.") from None
    _refuse_lone_surrogates(text[:end], offset)
    return document, text[end:]


def _refuse_lone_surrogates(text: str, offset: int) -> None:
    if not _SURROGATE.search(text):
        return
    high = -1  # where the \u escape of an unanswered high surrogate ends
    for escape in _ESCAPE.finditer(text):
        unit = int(escape[1] or "0", 16)
        is_low = 0xDC00 <= unit <= 0xDFFF
        if is_low != (high >= 0) or (is_low and escape.start() != high):
            break
        high = escape.end() if 0xD800 <= unit <= 0xDBFF else -1
    else:
        if high < 0:
            return
    raise _refusal("The surrogate pair in string is invalid.", _place(text, escape.start(), offset))


def _reason(error: json.JSONDecodeError) -> str:
    for beginning, reason in _REASONS.items():
        if error.msg.startswith(beginning):
            # A NUL ends RapidJSON's stream.
            return _UNCLOSED if reason == _BAD_ESCAPE and error.doc.startswith("\0", error.pos) else reason
    if not error.msg.startswith("Expecting ','"):
        return "Invalid value."
    after_digit = error.doc[error.pos - 1].isdigit()
    if after_digit and error.doc.startswith(".", error.pos):
        return "Miss fraction part in number."
    if after_digit and error.doc.startswith(("e", "E"), error.pos):
        return "Miss exponent in number."
    if _innermost(error.doc[: error.pos]) == "{":
        return "Missing a comma or '}' after an object member."
    return "Missing a comma or ']' after an array element."


def _innermost(text: str) -> str:
    """The bracket that is open where ``text`` ends."""
    opened: list[str] = []
    for bracket in _BRACKETS.findall(text):
        if bracket in ("[", "{"):
            opened.append(bracket)
        elif bracket in ("]", "}"):
            opened.pop()
    return opened[-1]


class _TooBig(Exception):
    """Raised by the decoder's hooks; ``literal`` is the number as it was written."""

    def __init__(self, literal: str) -> None:
        super().__init__(literal)
        self.literal = literal


def _float(literal: str) -> float:
    value = float(literal)
    if math.isinf(value):
        raise _TooBig(literal)
    return value


def _integer(literal: str) -> int | float:
    # Twenty digits hold every int64 and uint64; int() refuses thousands of them.
    value = int(literal) if len(literal) <= 20 else _float(literal)
    return value if -(2**63) <= value < 2**64 else float(value)


def _first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        members.update(reversed(pairs))
    return members


def _telling(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    return members if len(members) == len(pairs) else Repeating(pairs)


class _RawName(Exception):
    """Raised by the decoder's hook for a ``name`` that is not UTF-8: no tensor and no feature has it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def _utf8_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = _first_wins(pairs)
    for name in members:
        if not raw_text.is_utf8(name):
            raise _RawName(name)
    return members


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_first_wins, parse_float=_float, parse_int=_integer)
_TELLING_DECODER: Final = json.JSONDecoder(object_pairs_hook=_telling, parse_float=_float, parse_int=_integer)
_RAW_DECODER: Final = json.JSONDecoder(object_pairs_hook=_utf8_names, parse_float=_float, parse_int=_integer)


def _usual_spelling(token: re.Match[str]) -> str:
    return {"-NaN": "NaN", "Inf": "Infinity", "-Inf": "-Infinity"}.get(token[0], token[0])


def _place(text: str, position: int, offset: int) -> int:
    return offset + len(raw_text.encode(text[:position]))


def _refusal(reason: str, offset: int) -> InvalidArgument:
    return InvalidArgument(f"JSON Parse error: {reason} at offset: {offset}")


def _not_one_document(expected: str, got: str) -> InvalidArgument:
    problem = Problem("", expected, got)
    return InvalidArgument(f"JSON Parse error: {problem}", [problem])


def _shown(data: bytes) -> str:
    """The beginning of ``data``, with single spaces."""
    words = b" ".join(data.split(maxsplit=_SHOWN_BYTES))
    shown = words[:_SHOWN_BYTES].decode(errors="replace") + ("…" if len(words) > _SHOWN_BYTES else "")
    return json.dumps(shown, ensure_ascii=False)
