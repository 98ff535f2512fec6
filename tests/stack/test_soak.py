"""The gateway under load: right answers only, no stall, and nothing lost by clients that vanish, dawdle or by restarts.

SOAK_SECONDS=300 for a real one; in CI each lasts a few seconds.
"""

import os
import random
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.stack.checking_client import PATH, CheckingClient, Tally, request
from tests.stack.conftest import START_TIMEOUT_S, USUAL_EVENTS, Stack
from tests.waiting import wait_for

SECONDS = float(os.environ.get("SOAK_SECONDS", "4"))
DEADLINE_S = 10.0
READ_TIMEOUT_S = 5.0
# What a worker may hold more after a soak than before: descriptors, threads and megabytes. Its pools make a thread when it is
# first needed.
SPARE_DESCRIPTORS = 8
SPARE_THREADS = 64
SPARE_MB = 24
RESTARTS = 3 if SECONDS < 60 else 20

pytestmark = pytest.mark.timeout(SECONDS * 4 + 180)


@pytest.fixture(scope="module")
def server(exported, tmp_path_factory) -> Iterator[Stack]:
    """One model server; each test starts a gateway of its own."""
    stack = Stack(tmp_path_factory.mktemp("soak"), exported, ("half_plus_two",))
    try:
        stack.start_server()
        wait_for(lambda: "server.ready" in stack.server.log.read_text(), START_TIMEOUT_S)
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def start(server, tmp_path) -> Iterator[Callable[..., Stack]]:
    started: list[Stack] = []

    def start_gateway(**settings: object) -> Stack:
        values = {"predict_timeout_ms": int(DEADLINE_S * 1000), "read_timeout_ms": int(READ_TIMEOUT_S * 1000)}
        stack = Stack(tmp_path, server.models_dir, ("half_plus_two",), **(values | settings))
        stack.serving_port = server.serving_port
        started.append(stack)
        restart(stack)
        return stack

    yield start_gateway
    for stack in started:
        stack.stop()


def restart(stack: Stack) -> None:
    stack.start_gateway()
    wait_for(lambda: stack.is_ready() or stack.gateway.process.poll() is not None, START_TIMEOUT_S)
    assert stack.gateway.process.poll() is None, stack.gateway.log.read_text()


def check(tally: Tally) -> None:
    """All is right, and nothing was lost."""
    assert tally.wrong == []
    assert set(tally.answered) == {200}, tally
    assert max(tally.seconds) < DEADLINE_S
    assert (tally.lost, tally.cut, tally.never_taken) == (0, 0, 0), tally


def check_log(stack: Stack) -> None:
    """No event but requests and what the gateway tells of its backend: no worker ended, nothing was caught."""
    told = {(event["event"], event["level"]) for event in stack.log_events() if event["event"] != "request"}
    assert {event for event, _ in told} <= USUAL_EVENTS, told


def workers_of(stack: Stack) -> list[int]:
    gateway = stack.gateway.process.pid
    return [int(pid) for pid in Path(f"/proc/{gateway}/task/{gateway}/children").read_text().split()]


def held(stack: Stack) -> dict[int, tuple[int, int, int]]:
    """By worker: open descriptors, threads, megabytes."""
    found = {}
    for pid in workers_of(stack):
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
        descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        found[pid] = (descriptors, int(status["Threads"]), int(status["VmRSS"].split()[0]) // 1024)
    return found


def holds_no_more(stack: Stack, before: dict[int, tuple[int, int, int]]) -> bool:
    """Whether the same workers are back near what they held. Threads that serve requests are kept, and counted before."""
    now = held(stack)
    spare = (SPARE_DESCRIPTORS, SPARE_THREADS, SPARE_MB)
    return now.keys() == before.keys() and all(
        have <= had + more for pid in before for have, had, more in zip(now[pid], before[pid], spare, strict=True)
    )


def settled(stack: Stack) -> dict[int, tuple[int, int, int]] | None:
    """What the workers hold, once that does not change any more: the clients that left are forgotten."""
    first = held(stack)
    time.sleep(0.5)
    again = held(stack)
    return again if {pid: value[0] for pid, value in first.items()} == {pid: value[0] for pid, value in again.items()} else None


@contextmanager
def leaves_nothing_behind(stack: Stack, warm: Callable[[], None]) -> Iterator[None]:
    """After ``warm`` has filled pools and caches, what is done inside must not make the workers hold more."""
    warm()
    before = wait_for(lambda: settled(stack))
    yield
    try:
        wait_for(lambda: holds_no_more(stack, before), READ_TIMEOUT_S + 10)
    except AssertionError:
        assert held(stack) == before


def soak(stack: Stack, seconds: float, connections: int) -> Tally:
    with CheckingClient(stack.gateway_port, connections) as client:
        time.sleep(seconds)
    return client.tally


def test_64_clients_get_right_answers_only_and_leave_nothing_behind(start):
    stack = start()
    with leaves_nothing_behind(stack, lambda: check(soak(stack, 1.5, 64))):
        check(soak(stack, SECONDS, 64))
    check_log(stack)


def test_the_first_burst_after_a_start_is_answered(start):
    stack = start()
    for _ in range(RESTARTS):
        assert stack.gateway.stop() == 0
        restart(stack)
        with CheckingClient(stack.gateway_port, 64) as client:
            wait_for(lambda client=client: sum(client.tally.answered.values()) >= 64, DEADLINE_S)
        check(client.tally)


def vanish(port: int, rng: random.Random) -> None:
    """Be a client that goes away: anywhere in its request, or before, in or behind its answer; with FIN or with RST."""
    large = b"GET /openapi.json HTTP/1.1\r\nHost: gateway\r\n\r\n"
    chunked = f"POST {PATH} HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n".encode()
    sent = rng.choice((request([1.0]), request([1.0]) * 3, large, large * 3, chunked))
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(sent[: rng.randrange(len(sent) + 1)] if rng.random() < 0.7 else sent)
        time.sleep(rng.choice((0, 0, 0.001, 0.01)))
        if rng.random() < 0.3:
            sock.settimeout(0.2)
            with suppress(OSError):
                sock.recv(rng.choice((1, 100, 10_000)))
        if rng.random() < 0.5:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def vanish_for(port: int, seconds: float) -> int:
    """Many clients that go away, one after the other on a few threads; how many."""
    until_s = time.monotonic() + seconds
    counts = [0] * 4

    def keep_vanishing(place: int) -> None:
        rng = random.Random(place)
        while time.monotonic() < until_s:
            vanish(port, rng)
            counts[place] += 1

    threads = [threading.Thread(target=keep_vanishing, args=(place,)) for place in range(len(counts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts)


def test_clients_that_vanish_disturb_nobody_and_leave_nothing_behind(start):
    stack = start()

    def disturbed(seconds: float) -> None:
        with CheckingClient(stack.gateway_port, 16) as client:
            assert vanish_for(stack.gateway_port, seconds) > 20
        check(client.tally)

    with leaves_nothing_behind(stack, lambda: disturbed(1.5)):
        disturbed(SECONDS)
    check_log(stack)


class SlowClients:
    """Clients that take their time, from enter to exit.

    The first ``heads`` of them send their heads little by little, the next ``bodies`` the bodies of their predictions, and the
    last ``deaf`` never read their long answers.
    """

    _STEPS = 20

    def __init__(self, port: int, heads: int, bodies: int, deaf: int) -> None:
        self._port = port
        data = request([4.0])
        behind_head = data.index(b"\r\n\r\n") + 4
        self._pieces = [self._cut(data, 1)] * heads + [self._cut(data, behind_head)] * bodies
        self._deaf_number = deaf
        self._socks: list[socket.socket] = []
        self._deaf: list[socket.socket] = []
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._drip)

    def _cut(self, data: bytes, first: int) -> list[bytes]:
        """``first`` bytes, then some one by one, then the rest."""
        single = data[first : first + self._STEPS - 2]
        return [data[:first], *(bytes([byte]) for byte in single), data[first + len(single) :]]

    def __enter__(self) -> "SlowClients":
        for pieces in self._pieces:
            self._socks.append(socket.create_connection(("127.0.0.1", self._port), timeout=20))
            self._socks[-1].sendall(pieces[0])
        for _ in range(self._deaf_number):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", self._port))
            sock.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: gateway\r\n\r\n" * 60)
            self._deaf.append(sock)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over.set()
        self._thread.join()
        for sock in (*self._socks, *self._deaf):
            sock.close()

    def _drip(self) -> None:
        """A byte of each now and then; all is sent well before the server's patience ends."""
        for step in range(1, self._STEPS):
            if self._is_over.wait(READ_TIMEOUT_S * 0.4 / self._STEPS):
                return
            for sock, pieces in zip(self._socks, self._pieces, strict=True):
                with suppress(OSError):
                    sock.sendall(pieces[step])

    def answers(self) -> list[bytes]:
        """What those were told in the end that were slow in sending."""
        self._thread.join()
        return [self._answer(sock) for sock in self._socks]

    def _answer(self, sock: socket.socket) -> bytes:
        """One answer, which may come in several pieces, or what came until the end."""
        answer = b""
        while not answer.endswith(b"}") and (piece := sock.recv(65536)):
            answer += piece
        return answer


def check_slow(stack: Stack, slow: SlowClients) -> None:
    """Others are answered at once all the time, and the slow ones, who were in time, as well."""
    with slow:
        with CheckingClient(stack.gateway_port, 4) as client:
            answers = slow.answers()
        check(client.tally)
    assert all(answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"[4.0]}") for answer in answers), answers
    # Not a matter of speed: nobody had to wait for the slow ones to be done.
    assert max(client.tally.seconds) < READ_TIMEOUT_S * 0.8
    assert client.tally.answered[200] > 20


def test_many_slow_clients_hold_nobody_up(start):
    stack = start(workers=1)
    check_slow(stack, SlowClients(stack.gateway_port, heads=28, bodies=28, deaf=8))
    check_log(stack)


def test_a_restart_under_load_loses_no_request_that_was_taken(start):
    """Each gets its answer, or its connection closes before the first byte of one on a connection that was never served."""
    stack = start()
    with CheckingClient(stack.gateway_port, 32) as client:
        for _ in range(2 if SECONDS < 60 else 10):
            seen = sum(client.tally.answered.values())
            wait_for(lambda seen=seen: sum(client.tally.answered.values()) > seen + 200, DEADLINE_S * 2)
            assert stack.gateway.stop() == 0
            restart(stack)
        seen = sum(client.tally.answered.values())
        wait_for(lambda: sum(client.tally.answered.values()) > seen + 200, DEADLINE_S * 2)
    assert client.tally.wrong == []
    assert set(client.tally.answered) == {200}
    assert (client.tally.lost, client.tally.cut) == (0, 0), client.tally
    assert max(client.tally.seconds) < DEADLINE_S


def test_a_restart_of_the_model_server_under_load_is_503_and_then_all_is_right(start, server):
    stack = start()
    with CheckingClient(stack.gateway_port, 16) as client:
        wait_for(lambda: client.tally.answered[200] > 100, DEADLINE_S)
        starts = server.server.log.read_text().count("server.ready")
        server.server.stop(signal.SIGKILL)
        wait_for(lambda: client.tally.answered[503] > 100, DEADLINE_S)
        server.start_server()
        wait_for(lambda: server.server.log.read_text().count("server.ready") > starts, START_TIMEOUT_S)
        seen = client.tally.answered[200]
        wait_for(lambda: client.tally.answered[200] > seen + 100, DEADLINE_S)
    assert client.tally.wrong == []
    assert set(client.tally.answered) == {200, 503}, client.tally
    assert client.tally.without_retry_after == 0
    assert (client.tally.lost, client.tally.cut, client.tally.never_taken) == (0, 0, 0), client.tally
    assert max(client.tally.seconds) < DEADLINE_S
    # The workers find the server again one after the other; ready are they when all have.
    wait_for(stack.is_ready, DEADLINE_S)
    check(soak(stack, 1.0, 16))
