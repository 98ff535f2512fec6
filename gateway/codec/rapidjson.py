"""RapidJSON's reading of a body: what plain JSON parsers refuse or read differently, and every error in its words.

``util/json_tensor.cc`` allows NaN and Inf and stops at the end of the document. Here the standard library's decoder does that,
by hooks. It runs in C, so that a hostile body costs time in proportion to its length. The strict reading only refuses what is
not one JSON document: it still reads NaN and Inf, so that a problem can name their place.
"""

import json
import math
import re
from typing import Any, Final

from gateway.codec.problems import Repeating
from gateway.codec.raw_text import bytes_of_raw_text, raw_text_of
from gateway.errors import InvalidArgument, Problem

_BOM: Final = "\ufeff"
# Strings are taken whole (an unfinished one to the end of the text), so that what they hold is never mistaken for structure.
_STRING: Final = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'
_BRACKETS: Final = re.compile(_STRING + r"|[][{}]", re.DOTALL)
_SPELLINGS: Final = re.compile(_STRING + r"|-?Inf(?:inity)?|-NaN", re.DOTALL)
_SPELLING: Final = re.compile(r"-?Inf|-NaN")
# The escape of half a surrogate pair is the group. A pair is matched whole, so that its halves are not taken for such.
_ESCAPES: Final = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u([dD][89a-fA-F][0-9a-fA-F]{2})|\\.", re.DOTALL
)

_BAD_ENCODING: Final = "Invalid encoding in string."
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
_SPACE: Final = " \t\r\n"
_SHOWN_BYTES: Final = 40  # of what follows a document


def parse_as_rapidjson(body: bytes, raw_strings: bool = False, strict: bool = False) -> Any:
    """The value of ``body``, as ``json_text.parse_json`` describes it. That function tries a faster decoder first."""
    if not body:
        raise InvalidArgument("JSON Parse error: The document is empty")
    if raw_strings:
        return _decode(_ESCAPES.sub(_low_surrogate_as_bytes, raw_text_of(body)), _RAW_DECODER)[0]
    if strict and body.startswith(_BOM.encode()):
        raise _not_one_document("JSON without a byte order mark", "a byte order mark")
    document, rest = _decode_utf8(body, _STRICT_DECODER if strict else _DECODER)
    if strict and rest.strip(_SPACE.encode()):
        raise _not_one_document("nothing after the JSON document", _shown(rest))
    return document


def _decode_utf8(body: bytes, decoder: json.JSONDecoder) -> tuple[Any, bytes]:
    """The document that ``body`` begins with, and what follows it. The document has to be UTF-8; the rest may be any bytes."""
    try:
        text, others = body.decode(), b""
    except UnicodeDecodeError as error:
        text, others = body[: error.start].decode(), body[error.start :]
    try:
        document, rest = _decode(text, decoder)
    except InvalidArgument:
        if others:
            raise _refusal(_BAD_ENCODING, text, len(text)) from None
        raise
    return document, rest.encode() + others


def _decode(text: str, decoder: json.JSONDecoder) -> tuple[Any, str]:
    """The document that ``text`` begins with, and what follows it."""
    content = text.removeprefix(_BOM).lstrip(_SPACE)
    start = len(text) - len(content)
    if not content:
        raise _refusal("The document is empty.", text, start)
    try:
        document, end = decoder.raw_decode(text, start)
    except _Refused as refused:
        raise _refusal(refused.reason, text, text.find(refused.token)) from None
    except json.JSONDecodeError as error:
        if _SPELLING.match(text, error.pos) and (usual := _SPELLINGS.sub(_usual_spelling, text)) != text:
            return _decode(usual, decoder)
        raise _refusal(_reason(error), text, error.pos) from None
    except RecursionError:
        raise InvalidArgument("JSON Parse error: The document is nested too deeply.") from None
    if "\\u" in text:
        for escape in _ESCAPES.finditer(text, 0, end):
            if escape[1]:
                raise _refusal("The surrogate pair in string is invalid.", text, escape.start())
    return document, text[end:]


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


class _Refused(Exception):
    """Raised by the decoder's hooks for a ``token``, as it stands in the text, that RapidJSON refuses for ``reason``."""

    def __init__(self, reason: str, token: str) -> None:
        super().__init__(reason)
        self.reason, self.token = reason, token


def _float(literal: str) -> float:
    value = float(literal)
    if math.isinf(value):
        raise _Refused("Number too big to be stored in double.", literal)
    return value


def _integer(literal: str) -> int | float:
    # Twenty digits hold every int64 and uint64; int() refuses thousands of them.
    value = int(literal) if len(literal) <= 20 else _float(literal)
    return value if -(2**63) <= value < 2**64 else float(value)


def _first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    return members if len(members) == len(pairs) else dict(Repeating(pairs))


def _repeating(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    return members if len(members) == len(pairs) else Repeating(pairs)


def _utf8_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """As ``_first_wins``. Only values may hold raw bytes: no tensor or feature has such a name."""
    members = _first_wins(pairs)
    for name in members:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise _Refused(_BAD_ENCODING, name) from None
    return members


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_first_wins, parse_float=_float, parse_int=_integer)
_STRICT_DECODER: Final = json.JSONDecoder(object_pairs_hook=_repeating, parse_float=_float, parse_int=_integer)
_RAW_DECODER: Final = json.JSONDecoder(object_pairs_hook=_utf8_names, parse_float=_float, parse_int=_integer)


def _low_surrogate_as_bytes(escape: re.Match[str]) -> str:
    """A low surrogate without its high one as the bytes that RapidJSON's encoder makes of it; any other escape as it is."""
    unit = int(escape[1] or "0", 16)
    return raw_text_of(chr(unit).encode(errors="surrogatepass")) if unit >= 0xDC00 else escape[0]


def _usual_spelling(token: re.Match[str]) -> str:
    return {"-NaN": "NaN", "Inf": "Infinity", "-Inf": "-Infinity"}.get(token[0], token[0])


def _refusal(reason: str, text: str, position: int) -> InvalidArgument:
    return InvalidArgument(f"JSON Parse error: {reason} at offset: {len(bytes_of_raw_text(text[:position]))}")


def _not_one_document(expected: str, got: str) -> InvalidArgument:
    problem = Problem("", expected, got)
    return InvalidArgument(f"JSON Parse error: {problem}", [problem])


def _shown(data: bytes) -> str:
    """The beginning of ``data``, with single spaces."""
    words = b" ".join(data.split(maxsplit=_SHOWN_BYTES))
    shown = words[:_SHOWN_BYTES].decode(errors="replace") + ("…" if len(words) > _SHOWN_BYTES else "")
    return json.dumps(shown, ensure_ascii=False)
