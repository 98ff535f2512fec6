"""The body of a request as the dialects read it: inflated where it is compressed, and never beyond the body limit."""

import zlib
from typing import Final

from gateway.api.memory import SMALL_BYTES, Memory
from gateway.call import Call
from gateway.codec.problems import cut_text
from gateway.errors import InvalidArgument, PayloadTooLarge, body_too_large

_GZIP: Final = 16 + zlib.MAX_WBITS  # zlib's way to ask for gzip's header and checksum
_ENCODINGS: Final = {"": None, "identity": None, "gzip": _GZIP, "x-gzip": _GZIP, "deflate": zlib.MAX_WBITS}


class Bodies:
    """Reads bodies of at most ``limit`` bytes within the bounds of ``memory``."""

    def __init__(self, memory: Memory, limit: int) -> None:
        self.memory = memory
        self.limit = limit

    async def read(self, call: Call, *, is_json: bool = True, is_strict: bool = False) -> bytes:
        """The body of ``call``; if ``is_json``, it holds its share of the bodies in work (see ``Memory``).

        A ``Content-Encoding`` that contains ``gzip`` is undone and any other is ignored, as ``net_http`` of TensorFlow Serving
        does. If ``is_strict``, ``deflate`` is undone too, and another encoding is refused by name. The inflated body has the
        limit of any body, so that a small one cannot take memory without bound.

        Raises:
            PayloadTooLarge: what the body inflates to is over the limit.
            Unavailable: too many large bodies are in work.
            InvalidArgument: the body is not compressed as the field says. The message is upstream's, which takes it for empty.
        """
        encoding = call.headers.get("content-encoding")
        window = None if encoding is None else _window(encoding.lower(), is_strict)
        if window is not None:
            return await self._inflated(call, window)
        if is_json and len(call.body) > SMALL_BYTES:
            await self.memory.hold(call, len(call.body))
        return call.body

    async def _inflated(self, call: Call, window: int) -> bytes:
        small = min(self.limit, SMALL_BYTES)
        try:
            return inflate(call.body, small, window)
        except PayloadTooLarge:
            if small == self.limit:
                raise
        # The largest share at once: two bodies that held parts and wanted more might wait for each other.
        held = await self.memory.hold(call, self.limit)
        data = await self.memory.run(self.limit, inflate, call.body, self.limit, window)
        held.keep_only(len(data))
        return data


def _window(encoding: str, is_strict: bool) -> int | None:
    """What ``zlib`` needs to know of ``encoding``; None if it is ignored, or is none."""
    if not is_strict:
        return _GZIP if "gzip" in encoding else None
    encoding = encoding.strip()
    if encoding not in _ENCODINGS:
        raise InvalidArgument(f"Content-Encoding: expected gzip, deflate or none, got {cut_text(encoding, 40)}")
    return _ENCODINGS[encoding]


def inflate(data: bytes, limit: int, window: int = _GZIP) -> bytes:
    """What the one compressed member ``data`` holds, at most ``limit`` bytes. Raises as ``Bodies.read``."""
    member = zlib.decompressobj(window)
    try:
        inflated = member.decompress(data, limit + 1)
    except zlib.error as error:
        raise _not_as_encoded("it is damaged, or something else") from error
    if len(inflated) > limit:
        raise body_too_large(limit, "the body inflates to more than")
    if not member.eof:
        raise _not_as_encoded("it ends too early")
    if member.unused_data:
        raise _not_as_encoded("bytes follow its end")
    return inflated


def _not_as_encoded(reason: str) -> InvalidArgument:
    text = "JSON Parse error: The document is empty: the body is not compressed as its Content-Encoding says"
    return InvalidArgument(f"{text} ({reason})")
