"""A DNS server of which a test or a benchmark says what it answers to one name."""

import ipaddress
import socket
import struct
import threading
from contextlib import suppress

NAME = "serving.test"
_A = 1
_SERVFAIL = 2


class NameServer:
    """Answers questions for A records over UDP, from enter to exit, on a free port if none is given.

    ``addresses``: what the name has. ``fails``: every answer is SERVFAIL. ``is_silent``: there is no answer. ``asked`` counts.
    """

    def __init__(self, *addresses: str, host: str = "127.0.0.1", port: int = 0) -> None:
        self.addresses = addresses
        self.fails = False
        self.is_silent = False
        self.asked = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, port))
        self.host = host
        self.port: int = self._socket.getsockname()[1]
        self._is_over = False
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> "NameServer":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", (self.host, self.port))
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while not self._is_over:
            question, client = self._socket.recvfrom(4096)
            if len(question) > 12 and not self.is_silent:
                self.asked += 1
                with suppress(OSError):
                    self._socket.sendto(self._answer(question), client)

    def _answer(self, question: bytes) -> bytes:
        end = question.index(b"\0", 12) + 5  # the name, its type and its class
        [kind] = struct.unpack("!H", question[end - 4 : end - 2])
        addresses = self.addresses if kind == _A and not self.fails else ()
        flags = 0x8180 | (_SERVFAIL if self.fails else 0)
        head = question[:2] + struct.pack("!HHHHH", flags, 1, len(addresses), 0, 0)
        records = (b"\xc0\x0c" + struct.pack("!HHIH", _A, 1, 0, 4) + ipaddress.ip_address(one).packed for one in addresses)
        return head + question[12:end] + b"".join(records)
