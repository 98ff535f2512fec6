"""An answer as the bytes that a client receives."""

from collections.abc import Sequence
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from gateway.call import Answer

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
FAILURE: Final = Answer(500, b"the server failed\n", [("Content-Type", "text/plain")])

_WITHOUT_BODY: Final = frozenset((204, 304))


def encode(answer: Answer, *, date: str, keeps: bool, is_head: bool) -> bytes:
    """Head and body of ``answer`` in one piece; to HEAD and with 204 and 304 there is no body.

    Raises ValueError when a header's name or value would break the head, or is not Latin-1.
    """
    fields = _fields(answer.headers)
    body, status = answer.body, answer.status
    connection = "keep-alive" if keeps else "close"
    if is_head or status in _WITHOUT_BODY:
        length = "" if status in _WITHOUT_BODY or _has_length(answer.headers) else f"Content-Length: {len(body)}\r\n"
        body = b""
    else:
        length = f"Content-Length: {len(body)}\r\n"
    head = f"{_status_line(status)}Server: gateway\r\nDate: {date}\r\nConnection: {connection}\r\n{length}{fields}\r\n"
    return head.encode("latin-1") + body


def date_of(second: float) -> str:
    """A point in time, in seconds since the epoch, as HTTP writes it."""
    return formatdate(second, usegmt=True)


def _fields(headers: Sequence[tuple[str, str]]) -> str:
    fields = "".join([f"{name}: {value}\r\n" for name, value in headers])
    if fields.count("\n") != len(headers) or fields.count("\r") != len(headers):
        raise ValueError("a header of an answer has an end of line in it")
    return fields


def _has_length(headers: Sequence[tuple[str, str]]) -> bool:
    """Whether an application that answered HEAD without a body has told the length."""
    return any(name.lower() == "content-length" for name, _ in headers)


@lru_cache(maxsize=128)
def _status_line(status: int) -> str:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Client Closed Request" if status == 499 else ""
    return f"HTTP/1.1 {status} {phrase}\r\n"
