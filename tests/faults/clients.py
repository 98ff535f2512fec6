"""Other clients of the gateway misbehave."""

import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.faults.fault import fault
from tests.faults.scene import READ_TIMEOUT_S, Scene, plain
from tests.stack.checking_client import PATH
from tests.stack.test_soak import vanish
from tests.waiting import wait_for

_HEAD = f"POST {PATH} HTTP/1.1\r\nHost: gateway\r\n".encode()
_MANY = 2000


@fault("15", "Clients vanish before, during and after their body", plain)
def vanishing(scene: Scene) -> Iterator[None]:
    is_over = threading.Event()

    def keep_vanishing(seed: int) -> None:
        rng = random.Random(seed)
        while not is_over.is_set():
            vanish(scene.port, rng)

    threads = [threading.Thread(target=keep_vanishing, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


@contextmanager
def _connected(scene: Scene, number: int, sent: bytes) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        socks = [stack.enter_context(socket.create_connection(("127.0.0.1", scene.port), 20)) for _ in range(number)]
        for sock in socks:
            sock.sendall(sent)
        yield socks


def _answer(sock: socket.socket) -> bytes:
    """What comes until the gateway closes the connection, which it must do."""
    answer = b""
    sock.settimeout(READ_TIMEOUT_S + 20)
    while data := sock.recv(65536):
        answer += data
    return answer


@fault("16", "Clients send a byte of their body every second", plain, remark="the slow ones get 408")
def dripping(scene: Scene) -> Iterator[None]:
    with _connected(scene, 32, _HEAD + b"Content-Length: 100\r\n\r\n") as socks:
        until_s = time.monotonic() + READ_TIMEOUT_S - 0.5
        while time.monotonic() < until_s:
            for sock in socks:
                sock.sendall(b" ")
            time.sleep(0.5)
        assert {_answer(sock)[:12] for sock in socks} == {b"HTTP/1.1 408"}
        yield


@fault("17", "Clients never read their answers", plain, remark="their connections are cut off after the read timeout")
def deaf(scene: Scene) -> Iterator[None]:
    with ExitStack() as stack:
        socks = [stack.enter_context(socket.socket()) for _ in range(16)]
        for sock in socks:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", scene.port))
            sock.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: gateway\r\n\r\n" * 60)
        wait_for(lambda: not any(_is_established(scene, sock) for sock in socks), READ_TIMEOUT_S + 30)
        yield


def _is_established(scene: Scene, sock: socket.socket) -> bool:
    """Whether the gateway still holds its end (/proc/net/tcp has it as established)."""
    theirs = f" 0100007F:{scene.port:04X} 0100007F:{sock.getsockname()[1]:04X} 01 "
    with open("/proc/net/tcp") as file:
        return theirs in file.read()


@fault("18", "Clients send half a chunk, and no more", plain, remark="the slow ones get 408")
def half_a_chunk(scene: Scene) -> Iterator[None]:
    with _connected(scene, 32, _HEAD + b'Transfer-Encoding: chunked\r\n\r\n10\r\n{"insta') as socks:
        assert {_answer(sock)[:12] for sock in socks} == {b"HTTP/1.1 408"}
        yield


@fault("19", "2,000 connections are opened, and send nothing", plain, remark="they are closed after the read timeout")
def many_connections(scene: Scene) -> Iterator[None]:
    with _connected(scene, _MANY, b"") as socks:
        assert {_answer(sock) for sock in socks} == {b""}
        yield
