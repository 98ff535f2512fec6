"""A server in the gateway's place that keeps every byte that nginx sends it, and answers as it is told."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Request-Id: of-the-gateway\r\n\r\n{}"
"""What it answers by itself. Its id differs from every id that nginx passes on."""


class Recorder:
    """``received`` has the bytes of each connection.

    ``answer``: what it sends for a head that is whole; None: nothing, and it hangs up. ``hangs_up``: after an answer too.
    """

    def __init__(self) -> None:
        self.received: list[bytearray] = []
        self.answer: Callable[[bytes], bytes | None] = lambda head: ANSWER
        self.hangs_up = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]

    def heads(self) -> list[bytes]:
        """The heads of all requests: those of GET, whose bodies are empty, stand one behind the other."""
        return [part for data in self.received for part in bytes(data).split(b"\r\n\r\n") if b" HTTP/1.1\r\n" in part]

    def fields(self) -> dict[str, str]:
        """The fields of the last request, in lower case; a repeated one fails the test."""
        _, *lines = self.heads()[-1].decode("latin-1").split("\r\n")
        pairs = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        assert len(dict(pairs)) == len(pairs), pairs
        return dict(pairs)

    def run(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                data = bytearray()
                self.received.append(data)
                threading.Thread(target=self._serve, args=(connection, data), daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self, connection: socket.socket, data: bytearray) -> None:
        answered = 0
        with connection, suppress(OSError):
            while piece := connection.recv(1 << 16):
                data += piece
                heads = bytes(data).count(b"\r\n\r\n")
                while answered < heads:
                    answered += 1
                    answer = self.answer(bytes(data))
                    if answer is None:
                        return
                    connection.sendall(answer)
                    if self.hangs_up:
                        return


@contextmanager
def recorder() -> Iterator[Recorder]:
    running = Recorder()
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        yield running
    finally:
        running.close()
        thread.join()
