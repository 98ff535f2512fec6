"""The body of a request, as the dialects that take JSON read it: inflated where it is gzip, and never beyond the body limit."""

import zlib
from typing import Final

from flask import request

from gateway.errors import InvalidArgument, PayloadTooLarge, RequestTimeout

_GZIP: Final = 16 + zlib.MAX_WBITS  # zlib's way to ask for gzip's header and checksum


def read() -> bytes:
    """The bytes of this request's body.

    A ``Content-Encoding`` that contains ``gzip`` is undone, as ``net_http`` of TensorFlow Serving does. What comes out may be
    as large as any body may, so that a small body cannot become memory without bound.

    Raises:
        PayloadTooLarge: the body, or what it inflates to, is over the limit.
        RequestTimeout: the body did not arrive in time.
        InvalidArgument: the body is no gzip. Upstream takes it for empty then, and says so; so does this text.
    """
    data = _received()
    if "gzip" not in request.headers.get("Content-Encoding", "").lower():
        return data
    return inflate(data, request.max_content_length or 0)


def _received() -> bytes:
    """The bytes as they were sent. A body of unknown length is read to the limit and one byte on, never cut there."""
    limit, announced = request.max_content_length, request.content_length
    if limit is None:
        raise ValueError("a body is only read where there is a limit to it")
    if announced is not None and announced > limit:
        raise _too_large(limit)
    try:
        data: bytes = request.environ["wsgi.input"].read(limit + 1 if announced is None else announced)
    except TimeoutError as error:
        raise RequestTimeout("the body did not arrive in time") from error
    except Exception as error:  # the web server's own errors: a chunk that is none, a client that went away
        raise InvalidArgument("the body cannot be read: it ended early, or its chunks are malformed") from error
    if len(data) > limit:
        raise _too_large(limit)
    if announced is not None and len(data) < announced:
        raise InvalidArgument(f"the body ended after {len(data)} of the {announced} bytes that its Content-Length tells")
    return data


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"the body is over the limit of {limit} bytes")


def inflate(data: bytes, limit: int) -> bytes:
    """What the one gzip member ``data`` holds, at most ``limit`` bytes. Raises as ``read``."""
    member = zlib.decompressobj(_GZIP)
    try:
        inflated = member.decompress(data, limit + 1)
    except zlib.error as error:
        raise _is_no_gzip(str(error)) from None
    if len(inflated) > limit:
        raise PayloadTooLarge(f"the body inflates to more than the limit of {limit} bytes")
    if not member.eof:
        raise _is_no_gzip("it ends too early")
    if member.unused_data:
        raise _is_no_gzip("bytes follow its end")
    return inflated


def _is_no_gzip(reason: str) -> InvalidArgument:
    text = "JSON Parse error: The document is empty: its Content-Encoding says gzip, and as that it cannot be read"
    return InvalidArgument(f"{text} ({reason})")
