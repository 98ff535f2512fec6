"""An answer as the bytes that a client receives."""

from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from gateway.call import Answer

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
FAILURE: Final = Answer(500, b"the server failed\n", [("Content-Type", "text/plain")])

_WITHOUT_BODY: Final = frozenset((204, 304))


def encode_answer(answer: Answer, *, date: str, keeps: bool, is_head: bool) -> bytes:
    """Head and body of ``answer`` in one piece; to HEAD and with 204 and 304 there is no body.

    Raises ValueError when a header's name or value would break the head, or is not Latin-1.
    """
    fields, status = _fields(answer.headers), answer.status
    may_have_body = status not in _WITHOUT_BODY
    # An application that answers HEAD without a body may have told the length.
    is_told = is_head and any(name.lower() == "content-length" for name, _ in answer.headers)
    length = f"Content-Length: {len(answer.body)}\r\n" if may_have_body and not is_told else ""
    connection = "keep-alive" if keeps else "close"
    head = f"{_status_line(status)}Server: gateway\r\nDate: {date}\r\nConnection: {connection}\r\n{length}{fields}\r\n"
    return head.encode("latin-1") + (answer.body if may_have_body and not is_head else b"")


def _fields(headers: Sequence[tuple[str, str]]) -> str:
    fields = "".join([f"{name}: {value}\r\n" for name, value in headers])
    if fields.count("\n") != len(headers) or fields.count("\r") != len(headers):
        raise ValueError("a header of an answer has an end of line in it")
    return fields


@lru_cache(maxsize=128)
def _status_line(status: int) -> str:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Client Closed Request" if status == 499 else ""
    return f"HTTP/1.1 {status} {phrase}\r\n"
