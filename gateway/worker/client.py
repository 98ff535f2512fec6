"""A client's connection in the loop worker: what has come, what is still to be sent, and until when the loop waits for it."""

import time
from enum import Enum, auto
from typing import Any

from gunicorn.config import Config
from gunicorn.workers.gthread import TConn

from gateway.worker.plain import Head

# Where the loop of this process receives. A buffer for each piece would be large, and mostly empty.
_arrived = memoryview(bytearray(65536))


class Stage(Enum):
    """What the loop waits for."""

    IDLE = auto()  # the first byte of a request
    RECEIVING = auto()  # the rest of a request
    BUSY = auto()  # the application
    SENDING = auto()  # a client that reads
    LINGERING = auto()  # a client that closes


class Client(TConn):  # type: ignore[misc]
    """The loop's own part of gunicorn's connection. ``expires_s`` is in seconds of ``time.monotonic``."""

    def __init__(self, cfg: Config, sock: Any, address: Any, server: Any) -> None:
        super().__init__(cfg, sock, address, server)
        self.stage = Stage.IDLE
        self.expires_s = float("inf")
        self.head: Head | None = None
        self.has_ended = False
        self.is_watched = False
        self._pieces: list[bytes] = []
        self.received = 0
        self.outgoing = memoryview(b"")
        self.closes_after = False

    def receive(self) -> bool:
        """Take what has come; False when nothing more will. Raises OSError."""
        try:
            size = self.sock.recv_into(_arrived)
        except (BlockingIOError, InterruptedError):
            return True
        if not size:
            self.has_ended = True
            return False
        self._pieces.append(bytes(_arrived[:size]))
        self.received += size
        return True

    def give_back(self, data: bytes) -> None:
        """Put ``data`` in front of what has come."""
        if data:
            self._pieces.insert(0, data)
            self.received += len(data)

    def data(self) -> bytes:
        """All that has come and was not taken."""
        if len(self._pieces) != 1:
            self._pieces = [b"".join(self._pieces)]
        return self._pieces[0]

    def take(self, head_size: int, body_size: int) -> bytes:
        """The body behind a head, both of which have come whole; the rest stays."""
        data, end = self.data(), head_size + body_size
        self._pieces = [data[end:]] if len(data) > end else []
        self.received = len(data) - end
        return data[head_size:end]

    def take_all(self) -> bytes:
        """All that has come."""
        data = self.data()
        self._pieces, self.received = [], 0
        return data

    def send(self, parts: list[bytes]) -> bool:
        """Begin or go on to send; whether all is sent. Raises OSError."""
        if parts:
            self.outgoing = memoryview(parts[0] if len(parts) == 1 else b"".join(parts))
        try:
            while self.outgoing:
                self.outgoing = self.outgoing[self.sock.send(self.outgoing) :]
        except (BlockingIOError, InterruptedError):
            return False
        return True

    def wait(self, stage: Stage, seconds: float) -> None:
        """Be in ``stage`` for at most ``seconds``."""
        self.stage = stage
        self.expires_s = time.monotonic() + seconds
