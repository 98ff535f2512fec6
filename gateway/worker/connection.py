"""What gunicorn's worker is given instead of a bare socket: patience that ends, and refusals in JSON."""

import errno
import http
import json
import socket
import time
from typing import Any

_PIECE = 65536


class PatientSocket:
    """A client's socket that loses patience.

    ``recv`` ends with TimeoutError at ``patience_ends_s`` (``time.monotonic``), ``sendall`` when the client takes
    ``patience_s`` for one piece of an answer.

    A time-out for each ``recv`` would start anew with every byte that a slow client sends. An answer may be long and its reader
    slow, as long as it goes on reading.
    """

    def __init__(self, sock: socket.socket, patience_s: float) -> None:
        self._sock = sock
        self._patience_s = patience_s
        self.patience_ends_s = float("inf")
        self._queued_s = 0.0
        self.waited_s = 0.0
        self.has_ended = False  # the client sends nothing more, and was heard to say so

    def enter_queue(self) -> None:
        """What has come waits for a thread from now on."""
        self._queued_s = time.perf_counter()

    def leave_queue(self) -> None:
        """It has one: ``waited_s`` tells how many seconds that took."""
        self.waited_s = time.perf_counter() - self._queued_s

    def begin_request(self) -> None:
        """From now on ``patience_s`` is what the client has for its next request."""
        self.patience_ends_s = time.monotonic() + self._patience_s

    def bare(self) -> socket.socket:
        """The socket itself."""
        return self._sock

    def recv(self, size: int) -> bytes:
        """As ``socket.recv``. Raises TimeoutError when patience has ended."""
        data = self._recv(size)
        self.has_ended = not data
        return data

    def _recv(self, size: int) -> bytes:
        blocking = self._sock.gettimeout()
        if blocking == 0 or self.patience_ends_s == float("inf"):
            return self._sock.recv(size)
        left_s = max(0.001, self.patience_ends_s - time.monotonic())
        self._sock.settimeout(left_s if blocking is None else min(left_s, blocking))
        try:
            return self._sock.recv(size)
        except TimeoutError as error:
            # For gunicorn the number makes it one more client that went away, and no failure to be logged.
            raise TimeoutError(errno.ECONNRESET, "the client took too long to send its request") from error
        finally:
            self._sock.settimeout(blocking)

    def sendall(self, data: bytes) -> None:
        """As ``socket.sendall``. Raises TimeoutError when nobody reads."""
        blocking = self._sock.gettimeout()
        if blocking == 0:
            self._sock.sendall(data)
            return
        self._sock.settimeout(self._patience_s)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[self._sock.send(rest[:_PIECE]) :]
        except TimeoutError as error:
            raise TimeoutError(errno.ECONNRESET, "the client does not read its answer") from error
        finally:
            self._sock.settimeout(blocking)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class JsonErrors:
    """A socket for gunicorn's error pages: what is sent as HTML leaves as JSON, without the words that quote the request."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def sendall(self, page: bytes) -> None:
        """Send the status of gunicorn's ``page`` with a body of our own."""
        status = int(page.split(b" ", 2)[1])
        phrase = http.HTTPStatus(status).phrase
        body = json.dumps({"error": f"{phrase}: this is no HTTP request that can be served here"}).encode()
        head = f"HTTP/1.1 {status} {phrase}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        self._sock.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)
