"""A worker that is told to stop: what is under way ends well, whoever was let connect is answered, and it exits with 0."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.gateway.server.http_cases_connection import GET, post
from tests.gateway.server.http_wire import Wire
from tests.gateway.server.served import Server
from tests.gateway.server.synthetic import LARGE
from tests.waiting import wait_for

CLIENTS = 300
# Longer than any test takes.
LONG_MS = 60_000
AT_ONCE_S = 5
READY = b"GET /readyz HTTP/1.1\r\nHost: h\r\n\r\n"
CHUNKED = b"POST /predict HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"

Start = Callable[..., Server]


@pytest.fixture
def start(tmp_path) -> Iterator[Start]:
    """Starts the synthetic application under gunicorn; its workers have signal handlers of their own then."""
    started = []

    def start(**config: object) -> Server:
        server = Server(tmp_path / str(len(started)), **config)
        started.append(server)
        server.wait_until_ready()
        wait_for(lambda: len(server.workers()) == config.get("workers", 1))
        wait_for(lambda: all(minds(pid, "SigIgn", signal.SIGINT) for pid in server.workers()))
        with Wire(server.port) as wire:
            wire.play((GET,))
            wire.read_until(bool)
        return server

    yield start
    for server in started:
        server.stop()


def minds(pid: int, mask: str, number: int) -> bool:
    """Whether a signal is in a mask of the process: SigIgn, those that it ignores; ShdPnd, those that wait for it."""
    return bool(int(status(pid)[mask], 16) >> (number - 1) & 1)


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def told_to_stop(server: Server, number: int = signal.SIGTERM) -> None:
    """The signal was sent, and the worker has closed its listener: it lets nobody in any more."""
    server.process.send_signal(number)
    wait_for(lambda: refuses(server), 5)


def refuses(server: Server) -> bool:
    try:
        Wire(server.port).sock.close()
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    return False


def ended(server: Server) -> int:
    return server.process.wait(20)


def begun(server: Server, *pieces: bytes) -> Wire:
    """A connection on which ``pieces`` were sent, behind a request that was answered: the worker has let it in."""
    wire = Wire(server.port)
    wire.play((GET,))
    wire.read_until(bool)
    wire.received.clear()
    wire.answered_s.clear()
    wire.play(pieces)
    return wire


@pytest.mark.parametrize(
    ("request_", "cut"),
    [(GET, 20), (GET, 1), (post(), -5), (post(), -27), (CHUNKED, -10)],
    ids=["in the line", "behind a byte", "in the body", "before the body", "in the chunks"],
)
def test_a_request_that_has_begun_is_answered(start, request_, cut):
    server = start(read_timeout_ms=LONG_MS)
    with begun(server, request_[:cut]) as wire:
        told_to_stop(server)
        wire.play((request_[cut:],))
        [answer] = wire.read_to_the_end()
        assert (answer.status, answer.header(b"connection")) == (200, b"close")
        assert wire.is_closed
    assert ended(server) == 0


def test_a_request_in_work_is_answered(start):
    server = start()
    with begun(server, GET.replace(b"/healthz", b"/slow?1")) as wire:
        told_to_stop(server)
        [answer] = wire.read_to_the_end()
        assert (answer.status, answer.body) == (200, b'"at last"')
        assert wire.is_closed
    assert ended(server) == 0
    assert "the parts are closed" in server.log.read_text()


def test_an_answer_under_way_arrives_whole(start):
    server = start(read_timeout_ms=LONG_MS)
    with begun(server, GET.replace(b"/healthz", b"/large")) as wire:
        told_to_stop(server)
        [answer] = wire.read_to_the_end()
        assert (answer.status, len(answer.body)) == (200, LARGE)
    assert ended(server) == 0


def test_what_does_not_end_in_the_graceful_time_is_cut_off(start):
    server = start(graceful_timeout_s=1)
    with begun(server, GET.replace(b"/healthz", b"/slow?60")) as wire:
        told_to_stop(server)
        assert wire.read_to_the_end() == []
        assert wire.is_closed
    assert server.process.wait(AT_ONCE_S) == 0


def test_a_request_on_a_kept_connection_that_crosses_the_signal_is_answered(start):
    server = start()
    with begun(server) as wire:
        told_to_stop(server)
        wire.play((GET,))
        [answer] = wire.read_to_the_end()
        assert (answer.status, answer.header(b"connection")) == (200, b"close")
    assert ended(server) == 0


def test_a_client_that_goes_on_asking_loses_no_answer(start):
    """An answer that said that its connection is kept is followed by another, though the signal came between them."""
    server, lost = start(), []

    def keep_asking() -> None:
        with Wire(server.port) as wire:
            while not wire.is_closed:
                wire.received.clear()
                wire.answered_s.clear()
                wire.play((GET,))
                answers = wire.read_until(bool)
                if not answers:
                    lost.append(wire)
                elif answers[-1].header(b"connection") == b"close":
                    return

    clients = [threading.Thread(target=keep_asking) for _ in range(8)]
    for client in clients:
        client.start()
    wait_for(lambda: answers_a_new_client(server))
    server.process.terminate()
    for client in clients:
        client.join()
    assert ended(server) == 0
    assert lost == []


def answers_a_new_client(server: Server) -> bool:
    with Wire(server.port) as wire:
        wire.play((GET,))
        return bool(wire.read_until(bool))


def test_idle_connections_do_not_hold_the_end_up(start):
    server = start(read_timeout_ms=LONG_MS, graceful_timeout_s=60)
    with begun(server) as kept, Wire(server.port) as silent:
        told_to_stop(server)
        assert ended(server) == 0
        kept.read_to_the_end()
        silent.read_to_the_end()
        assert kept.is_closed
        assert silent.is_closed


@pytest.mark.parametrize("workers", [1, 3])
def test_clients_that_wait_to_be_let_in_are_answered(start, workers):
    server = start(workers=workers)
    pids = server.workers()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: all(status(pid)["State"].startswith("T") for pid in pids))
    waiting = [Wire(server.port) for _ in range(CLIENTS)]
    try:
        for place, wire in enumerate(waiting):
            wire.play((GET,) if place % 3 else (GET[:9],))
        server.process.terminate()
        wait_for(lambda: all(minds(pid, "ShdPnd", signal.SIGTERM) for pid in pids))
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        for place, wire in enumerate(waiting):
            if not place % 3:
                wire.play((GET[9:],))
        for wire in waiting:
            [answer] = wire.read_to_the_end()
            assert (answer.status, answer.header(b"connection")) == (200, b"close")
            assert wire.is_closed
    finally:
        for wire in waiting:
            wire.sock.close()
    assert ended(server) == 0


def test_while_workers_are_replaced_everybody_is_answered(start):
    """The listener lives on: others accept what the old ones do not."""
    server = start(workers=2)
    old, stop, lost = set(server.workers()), threading.Event(), []

    def keep_asking() -> None:
        while not stop.is_set():
            with Wire(server.port) as wire:
                wire.play((GET,))
                if [answer.status for answer in wire.read_until(bool)] != [200]:
                    lost.append(wire)

    clients = [threading.Thread(target=keep_asking) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: len(server.workers()) == 2 and not old & set(server.workers()), 20)
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert lost == []


@pytest.mark.parametrize("is_for_all", [False, True], ids=["to the worker", "to all processes, which ignore it"])
def test_sighup_ends_no_worker(start, is_for_all):
    """A terminal that closes sends it to all processes."""
    server = start(ignores_hangup=is_for_all)
    with begun(server, post()[:-5]) as wire:
        [worker] = server.workers()
        if is_for_all:
            os.killpg(server.process.pid, signal.SIGHUP)
        else:
            os.kill(worker, signal.SIGHUP)
        # Signals are handled in their order: when there is one more worker, SIGHUP has had its effect.
        server.process.send_signal(signal.SIGTTIN)
        wait_for(lambda: len(server.workers()) == 2)
        assert worker in server.workers()
        wire.play((post()[-5:],))
        assert [answer.status for answer in wire.read_until(bool)] == [200]


def test_while_it_drains_a_worker_is_not_ready_and_answers_all_the_same(start):
    server = start(drain_delay_s=1.5)
    with begun(server) as wire:
        server.process.terminate()
        wait_for(lambda: readiness(server) == (503, b"close"), 5)
        # Each is a new client: the worker goes on letting them in.
        assert {readiness(server) for _ in range(30)} == {(503, b"close")}
        wire.play((GET,))
        [answer] = wire.read_to_the_end()
        assert (answer.status, answer.header(b"connection")) == (200, b"close")
    assert ended(server) == 0


def readiness(server: Server) -> tuple[int, bytes | None]:
    with Wire(server.port) as wire:
        wire.play((READY,))
        answer = wire.read_until(bool)[0]
        return answer.status, answer.header(b"connection")


def press_ctrl_c(server: Server) -> None:
    """The terminal tells all processes."""
    os.killpg(server.process.pid, signal.SIGINT)


def test_ctrl_c_lets_requests_end_that_are_under_way(start):
    server = start(workers=2, read_timeout_ms=LONG_MS)
    with begun(server, post()[:-5]) as wire:
        press_ctrl_c(server)
        wait_for(lambda: refuses(server), 5)
        wire.play((post()[-5:],))
        [answer] = wire.read_to_the_end()
        assert (answer.status, answer.header(b"connection")) == (200, b"close")
    assert ended(server) == 0
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_while_it_stops_ends_it_within_seconds(start, first):
    server = start(read_timeout_ms=LONG_MS, graceful_timeout_s=60)
    with begun(server, post()[:-5]) as wire:
        os.killpg(server.process.pid, first)
        wait_for(lambda: refuses(server), 5)
        assert server.process.poll() is None
        press_ctrl_c(server)
        assert server.process.wait(AT_ONCE_S) == 0
        assert wire.read_to_the_end() == []
        assert wire.is_closed


def test_a_quit_ends_it_at_once(start):
    server = start(read_timeout_ms=LONG_MS, graceful_timeout_s=60, drain_delay_s=60)
    with begun(server, GET.replace(b"/healthz", b"/slow?60")) as wire:
        server.process.send_signal(signal.SIGQUIT)
        assert server.process.wait(AT_ONCE_S) == 0
        assert wire.read_to_the_end() == []


def test_a_worker_whose_parent_has_died_ends_by_itself(start):
    server = start(read_timeout_ms=LONG_MS)
    [pid] = server.workers()
    server.process.kill()
    wait_for(lambda: not Path(f"/proc/{pid}").exists() or status(pid)["State"].startswith("Z"), 10)
    assert "the parent process has died" in server.log.read_text()


def test_a_stop_is_heard_by_a_worker_that_has_only_just_begun(start):
    """A signal that is lost would be made up for by a kill, but only after the graceful time."""
    server = start(graceful_timeout_s=60, slow_fork_s=1.0)
    [pid] = server.workers()
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: server.log.read_text().count("a worker has begun") == 2, 20)
    server.process.terminate()
    assert ended(server) == 0
    assert "SIGKILL" not in server.log.read_text().split("a worker has begun")[-1]


def test_the_files_of_workers_that_died_are_closed(start):
    server = start()

    def files() -> int:
        return len(os.listdir(f"/proc/{server.process.pid}/fd"))

    before = files()
    for _ in range(4):
        [pid] = server.workers()
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda pid=pid: server.workers() and server.workers() != [pid], 20)
        wait_for(lambda: answers_a_new_client(server))
    assert server.log.read_text().count("died") == 4
    wait_for(lambda: files() == before, 5)
