"""Answers that a browser keeps: compressed if it takes that, and only told that nothing has changed if it has them already."""

import hashlib
from dataclasses import dataclass
from typing import Final

from werkzeug.http import parse_accept_header, parse_etags

from gateway.call import Answer, Call

PRIVATE: Final = "private, no-cache"
"""Cache-Control of what depends on the key of the caller."""


@dataclass(frozen=True, slots=True)
class Content:
    """What is sent: its bytes, the same compressed by gzip (None: it is sent as it is), and its ETag with the quotes."""

    body: bytes
    compressed: bytes | None
    media_type: str
    etag: str


def etag_of(body: bytes) -> str:
    """An ETag for ``body``, with its quotes."""
    return f'"{hashlib.sha256(body).hexdigest()[:16]}"'


def kept_answer(call: Call, content: Content, headers: list[tuple[str, str]]) -> Answer:
    """The answer to ``call``, with ``headers``: ``content``, or 304 without a body if the caller has it.

    ETags are compared as weak ones: compressed or not, it is the same.
    """
    common = [*headers, ("ETag", f"W/{content.etag}"), ("Vary", "Accept-Encoding")]
    if "if-none-match" in call.headers and parse_etags(call.headers["if-none-match"]).contains_weak(content.etag[1:-1]):
        return Answer(304, b"", common)
    typed = [("Content-Type", content.media_type), *common]
    if content.compressed is not None and _takes_gzip(call):
        return Answer(200, content.compressed, [*typed, ("Content-Encoding", "gzip")])
    return Answer(200, content.body, typed)


def _takes_gzip(call: Call) -> bool:
    return parse_accept_header(call.headers.get("accept-encoding", "")).quality("gzip") > 0
