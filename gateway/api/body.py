"""The body of a request, as the dialects that take JSON read it: inflated where it is gzip, and never beyond the body limit.

What is large is received, inflated and handed on within the bounds of ``body_bounds``.
"""

import zlib
from collections.abc import Callable
from typing import Final

from flask import Flask, current_app

from gateway.api import body_bounds, requests
from gateway.api.body_bounds import LARGE_BYTES
from gateway.api.message import Request
from gateway.codec.problems import cut
from gateway.errors import GatewayError, InvalidArgument, PayloadTooLarge, RequestTimeout

_GZIP: Final = 16 + zlib.MAX_WBITS  # zlib's way to ask for gzip's header and checksum
_READ_TIMEOUT_MS: Final = "gateway.read_timeout_ms"
_ENCODINGS: Final[dict[str, int | None]] = {
    "": None,
    "identity": None,
    "gzip": _GZIP,
    "x-gzip": _GZIP,
    "deflate": zlib.MAX_WBITS,
}


def init_app(app: Flask, read_timeout_ms: int) -> None:
    """Let ``app`` know the time that its web server gives a client to send a request, for the log."""
    app.extensions[_READ_TIMEOUT_MS] = read_timeout_ms


def read(*, is_json: bool = True) -> bytes:
    """The bytes of this request's body; JSON, which ``is_json`` says that it may be, has got its share of what is in work.

    A ``Content-Encoding`` that contains ``gzip`` is undone, as ``net_http`` of TensorFlow Serving does; any other is ignored,
    as it does too. What comes out may be as large as any body may, so that a small body cannot become memory without bound.

    Raises:
        PayloadTooLarge: the body, or what it inflates to, is over the limit.
        RequestTimeout: the body did not arrive in time.
        Unavailable: too many large bodies are in work.
        InvalidArgument: the body is no gzip. Upstream takes it for empty then, and says so; so does this text.
    """
    return _read(_GZIP if "gzip" in _encoding() else None, is_json)


def read_strictly(*, is_json: bool = True) -> bytes:
    """As ``read``, for dialects that need not follow upstream: ``deflate`` is undone too, another encoding refused by name."""
    encoding = _encoding()
    if encoding not in _ENCODINGS:
        raise InvalidArgument(f"Content-Encoding: expected gzip, deflate or none, got {cut(encoding, 40)}")
    return _read(_ENCODINGS[encoding], is_json)


def _read(window: int | None, is_json: bool) -> bytes:
    data = _received()
    if window is not None:
        data = inflate(data, requests.current().body_limit, window, body_bounds.prepare_for_any)
        body_bounds.keep_share(len(data))
    if is_json:
        body_bounds.take_share(len(data))
    return data


def _encoding() -> str:
    encoding: str = requests.current().environ.get("HTTP_CONTENT_ENCODING", "")
    return encoding.strip().lower()


def _received() -> bytes:
    """The bytes as they were sent. One of the places for large bodies is taken when it is known that they are many.

    A body of unknown length is read to the limit and one byte on, never cut there.
    """
    ours = requests.current()
    limit, announced = ours.body_limit, _announced(ours)
    if announced is not None and announced > limit:
        raise too_large(limit)
    if announced is not None and announced > LARGE_BYTES:
        body_bounds.take_place()
    read = ours.environ["wsgi.input"].read
    try:
        if announced is not None:
            data: bytes = read(announced)
        else:
            data = read(min(limit, LARGE_BYTES) + 1)
            if LARGE_BYTES < len(data) <= limit:
                body_bounds.take_place()
                data += read(limit + 1 - len(data))
    except GatewayError:
        raise
    except TimeoutError as error:
        raise _too_slow() from error
    except Exception as error:  # the web server's own errors: a chunk that is none, a client that went away
        raise InvalidArgument("the body cannot be read: it ended early, or its chunks are malformed") from error
    if len(data) > limit:
        raise too_large(limit)
    if announced is not None and len(data) < announced:
        raise InvalidArgument(f"the body ended after {len(data)} of the {announced} bytes that its Content-Length tells")
    return data


def _announced(ours: Request) -> int | None:
    """The size of the body as its head tells it, if it does."""
    length = ours.environ.get("CONTENT_LENGTH", "")
    if length.isascii() and length.isdigit() and "HTTP_TRANSFER_ENCODING" not in ours.environ:
        return int(length)
    return ours.content_length


def too_large(limit: int, what: str = "the body is over") -> PayloadTooLarge:
    """The error for a body of more than ``limit`` bytes, the most that it may have."""
    return PayloadTooLarge(f"{what} the limit of {limit} bytes").decided_by("GATEWAY_MAX_BODY_BYTES", limit)


def _too_slow() -> RequestTimeout:
    error = RequestTimeout("the body did not arrive in time")
    timeout_ms = current_app.extensions.get(_READ_TIMEOUT_MS)
    return error if timeout_ms is None else error.decided_by("GATEWAY_READ_TIMEOUT_MS", timeout_ms)


def inflate(data: bytes, limit: int, window: int = _GZIP, when_large: Callable[[], None] = lambda: None) -> bytes:
    """What the one compressed member ``data`` holds, at most ``limit`` bytes. Raises as ``read``.

    ``when_large`` is called before there are more than ``LARGE_BYTES``, if there will be.
    """
    member = zlib.decompressobj(window)
    try:
        inflated = member.decompress(data, min(limit, LARGE_BYTES) + 1)
        if LARGE_BYTES < len(inflated) <= limit:
            when_large()
            inflated += member.decompress(member.unconsumed_tail, limit + 1 - len(inflated))
    except zlib.error as error:
        raise _is_not_what_it_says("it is damaged, or something else") from error
    if len(inflated) > limit:
        raise too_large(limit, "the body inflates to more than")
    if not member.eof:
        raise _is_not_what_it_says("it ends too early")
    if member.unused_data:
        raise _is_not_what_it_says("bytes follow its end")
    return inflated


def _is_not_what_it_says(reason: str) -> InvalidArgument:
    text = "JSON Parse error: The document is empty: as its Content-Encoding has it, it cannot be read"
    return InvalidArgument(f"{text} ({reason})")
