"""JSON text as TensorFlow Serving's REST port reads it, and the short form in which its messages quote a value.

Bytes after the document are ignored, a byte order mark is skipped, the first of two equal keys wins and an integer beyond
uint64 is a double. The strict dialects refuse the first three. What is read never has lone surrogates (except those of raw
bytes, where they are asked for), nor a number that was too big for a double; integers and floats stay apart.

Most bodies are plain JSON and orjson reads them. A body that it refuses, or may read differently, goes to ``rapidjson``.
"""

import json
import math
from collections.abc import Iterator
from typing import Any, Final

import orjson

from gateway.codec.rapidjson import parse_as_rapidjson
from gateway.codec.raw_text import bytes_of_raw_text, legible_text

_DUMP_BYTES: Final = 256


def parse_json(body: bytes, *, raw_strings: bool = False, strict: bool = False) -> Any:
    """The value that the JSON ``body`` begins with: dict, list, str, int (int64 or uint64), float, bool or None.

    With ``raw_strings``, strings that are values may hold bytes that are not UTF-8, as upstream lets them: see ``raw_text``.

    With ``strict``, which excludes ``raw_strings``, the caller has to refuse what is read here but is no JSON (RFC 8259): an
    object that has a name more than once, which is a ``Repeating``, and numbers that are not finite.

    Raises InvalidArgument, ``JSON Parse error: <RapidJSON's reason> at offset: <byte>``, for anything that is not JSON in this
    dialect, for text that is not UTF-8, and for nesting beyond what the decoder follows (about a thousand levels). With
    ``strict``, also for a byte order mark and for anything but white space after the document, as one problem of the body.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        pass  # the error goes, which holds the whole text
    else:
        if _has_no_repeated_key(document, body):
            return document
        del document  # there are never two of them
    return parse_as_rapidjson(body, raw_strings, strict)


def dump_json(value: Any) -> str:
    """``value`` as messages quote it: indented by 4, lists on one line, cut at 256 bytes.

    A number that is not finite ends it, as RapidJSON's writer stops there.
    """
    pieces: list[str] = []
    size = 0
    for piece in _pieces(value, 0):
        if piece is None or size >= _DUMP_BYTES:
            break
        pieces.append(piece)
        size += len(bytes_of_raw_text(piece))
    return bytes_of_raw_text(legible_text("".join(pieces)))[:_DUMP_BYTES].decode(errors="ignore")


def _pieces(value: Any, depth: int) -> Iterator[str | None]:
    if isinstance(value, dict) and value:
        separator = "{\n"
        for name, member in value.items():
            yield separator + "    " * (depth + 1)
            yield from _pieces(name, depth)
            yield ": "
            yield from _pieces(member, depth + 1)
            separator = ",\n"
        yield "\n" + "    " * depth + "}"
    elif isinstance(value, list):
        yield "["
        for index, item in enumerate(value):
            if index:
                yield ", "
            yield from _pieces(item, depth + 1)
        yield "]"
    elif isinstance(value, float):
        yield repr(value).replace("e+", "e") if math.isfinite(value) else None
    else:
        yield json.dumps(value[:_DUMP_BYTES] if isinstance(value, str) else value, ensure_ascii=False)


def _has_no_repeated_key(document: Any, body: bytes) -> bool:
    """Whether no member of ``body`` was lost to a repeated name: each member has a colon, and there are no more colons."""
    colons = body.count(b":")
    if not colons or not isinstance(document, dict):
        return not colons
    if len(document) == colons:
        return True
    inner = [item for member in document.values() for item in (member if isinstance(member, list) else (member,))]
    return len(document) + sum(len(item) for item in inner if isinstance(item, dict)) == colons
