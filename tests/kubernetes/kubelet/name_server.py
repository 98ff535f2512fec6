"""The cluster's DNS: the addresses of the Pods behind a headless Service."""

import ipaddress
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from random import Random

DOMAIN = "default.svc.cluster.local"
_A, _NAME_ERROR, _TTL_S = 1, 3, 5


class NameServer:
    """Answers by UDP on port 53 of ``address``. ``look_up`` gives the addresses of a Service, or None if there is none."""

    def __init__(self, address: str, look_up: Callable[[str], list[str] | None]) -> None:
        self._look_up = look_up
        self._random = Random()  # its own: Hypothesis objects when another thread draws from the common one
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 53))
        self._is_over = False
        self._thread = threading.Thread(target=self._serve, name="name server")
        # As the kubelet writes it into every container.
        self.resolv_conf = f"nameserver {address}\nsearch {DOMAIN} svc.cluster.local cluster.local\noptions ndots:5\n"

    def __enter__(self) -> "NameServer":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while not self._is_over:
            question, client = self._socket.recvfrom(4096)
            if len(question) > 12:
                with suppress(OSError):
                    self._socket.sendto(self._answer(question), client)

    def _answer(self, question: bytes) -> bytes:
        labels, at = [], 12
        while length := question[at]:
            labels.append(question[at + 1 : at + 1 + length].decode().lower())
            at += 1 + length
        end = at + 5  # with type and class
        [kind] = struct.unpack("!H", question[at + 1 : at + 3])
        name, _, domain = ".".join(labels).partition(".")
        addresses = self._look_up(name) if domain == DOMAIN else None
        found = list(addresses or []) if kind == _A else []
        self._random.shuffle(found)
        flags = 0x8580 | (_NAME_ERROR if addresses is None else 0)
        records = (b"\xc0\x0c" + struct.pack("!HHIH", _A, 1, _TTL_S, 4) + ipaddress.ip_address(one).packed for one in found)
        return question[:2] + struct.pack("!HHHHH", flags, 1, len(found), 0, 0) + question[12:end] + b"".join(records)
