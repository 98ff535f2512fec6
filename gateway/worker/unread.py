"""What an application leaves unread of a body: an answer says ``Connection: close`` whenever it costs the connection.

A small rest is received before the answer begins, as the loop receives small bodies before they are handled: behind it the next
request is found. A large one is not waited for, nor a body that is refused for its size, nor one that nobody asked for.
"""

import time
from http import HTTPStatus
from io import BytesIO
from typing import Any, Final

from gunicorn.http import wsgi
from gunicorn.http.body import Body
from gunicorn.http.message import Request

from gateway.worker.connection import PatientSocket

RECEIVED_BYTES: Final = 1 << 20  # at most; a larger rest is not worth the wait
_RECEIVED_WITHIN_S: Final = 0.5  # a thread waits for it, which others may need


class ExpectedBody(Body):  # type: ignore[misc]
    """A body whose client waits with it for ``100 Continue``, which it is told when the application begins to read."""

    def __init__(self, body: Body, sock: Any) -> None:
        super().__init__(body.reader)
        self._sock = sock
        self.is_awaited = True

    def _read_reader(self, size: int) -> bytes:
        if self.is_awaited:
            self.is_awaited = False
            self._sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        data: bytes = super()._read_reader(size)
        return data


class FrankResponse(wsgi.Response):  # type: ignore[misc]
    """gunicorn's response, which tells in its head what becomes of the connection."""

    def send_headers(self) -> None:
        """Send the head, once."""
        if not self.headers_sent and not self.should_close() and not _is_received(self.req.body, self):
            self.force_close()
        super().send_headers()


def expect(request: Request, sock: Any) -> None:
    """Let the client of a request wait for ``100 Continue`` until its body is read; gunicorn would say it at once."""
    request._expected_100_continue = False
    if not _is_whole(request.body):
        request.body = ExpectedBody(request.body, sock)


def be_frank(response: Any) -> None:
    """Make a response that gunicorn has made, of its own class, a frank one."""
    if type(response) is wsgi.Response and isinstance(response.req.body, Body):
        response.__class__ = FrankResponse


def _is_received(body: Any, response: wsgi.Response) -> bool:
    """Whether the whole body has come, after a small rest has had a moment to."""
    sock = response.sock
    if isinstance(body, ExpectedBody) and body.is_awaited:
        body.is_awaited = False  # the answer that follows is the final one
        return False
    if not _is_whole(body):
        is_over_limit = response.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        # Another socket's patience does not end.
        if is_over_limit or not isinstance(sock, PatientSocket) or not _receive(body, sock):
            return False
    return not (isinstance(sock, PatientSocket) and sock.has_ended)


def _is_whole(body: Body) -> bool:
    """Whether all of it was taken from the connection."""
    reader = body.reader
    return not (body.failed or getattr(reader, "length", 0) or getattr(reader, "parser", None))


def _receive(body: Body, sock: PatientSocket) -> bool:
    """Receive the rest, which the application may still read; whether that was all."""
    patience_ends_s = sock.patience_ends_s
    sock.patience_ends_s = min(patience_ends_s, time.monotonic() + _RECEIVED_WITHIN_S)
    try:
        return _receive_patiently(body)
    finally:
        sock.patience_ends_s = patience_ends_s


def _receive_patiently(body: Body) -> bool:
    if body.failed or getattr(body.reader, "length", 0) > RECEIVED_BYTES:
        return False
    try:
        rest = body.read(RECEIVED_BYTES + 1)
    except Exception as error:  # noqa: BLE001 - does not come, or is malformed: that is for those who read it
        body.reader = _Failed(error)
        return False
    behind, body.buf = body.buf.getvalue(), BytesIO()
    body.buf.write(rest + behind)
    return len(rest) <= RECEIVED_BYTES


class _Failed:
    """Stands for a reader that failed, and would not do so again."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def read(self, size: int) -> bytes:
        raise self._error
