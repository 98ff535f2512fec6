"""One request and its answer, as gunicorn sees a connection: what it sends is collected, for the loop to send at once."""

import socket
from typing import IO, Any


class Exchange:
    """Stands for both the connection and its socket. ``parts`` is what was sent so far."""

    def __init__(self, client: Any, server: Any) -> None:
        self.client, self.server = client, server
        self.parts: list[bytes] = []

    @property
    def sock(self) -> "Exchange":
        """The socket."""
        return self

    def sendall(self, data: bytes) -> None:
        """As ``socket.sendall``."""
        self.parts.append(data)

    def send(self, data: bytes) -> int:
        """As ``socket.send``."""
        self.parts.append(data)
        return len(data)

    def sendfile(self, file: IO[bytes], offset: int = 0, count: int | None = None) -> int:
        """As ``socket.sendfile``."""
        file.seek(offset)
        return self.send(file.read(-1 if count is None else count))

    def gettimeout(self) -> float:
        """As of a socket that never blocks."""
        return 0.0

    def shutdown(self, how: int) -> None:
        """There is nothing to shut down: what was collected is still sent. Raises OSError, as a socket without a peer."""
        raise OSError(f"not connected: {socket.SocketType.__name__} {how}")

    def close(self) -> None:
        """Nothing: the loop closes the socket."""
