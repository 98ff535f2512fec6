"""Who is let in: up to the limit of connections, and as far as there are files."""

import logging
import os
import resource
import socket
from collections.abc import Callable

import pytest

from tests.gateway.server.http_cases_connection import GET
from tests.gateway.server.http_wire import Wire
from tests.gateway.server.served import Served
from tests.waiting import wait_for


def is_answered(wire: Wire) -> bool:
    wire.play((GET,))
    return [answer.status for answer in wire.read_until(bool)] == [200]


def test_connections_over_the_limit_wait_until_others_go():
    """And those that went, however, are not counted any more."""
    with Served(max_connections=10) as served:
        for round_ in range(3):
            for place in range(12):
                with Wire(served.port) as wire:
                    wire.play((GET[: None if place % 2 else 9], *(("reset",) if place % 3 else ())))
            wires = [Wire(served.port) for _ in range(10)]
            try:
                assert all(map(is_answered, wires)), round_
                with Wire(served.port) as late:
                    late.play((GET,))
                    assert late.read_until(bool, timeout_s=0.3) == []
                    wires.pop().sock.close()
                    assert [answer.status for answer in late.read_until(bool)] == [200]
            finally:
                for wire in wires:
                    wire.sock.close()


@pytest.fixture
def no_more_files():
    """Called, it lets the process open no further file; the result of the call takes that back."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def again() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def begin() -> Callable[[], None]:
        highest = max(map(int, os.listdir("/proc/self/fd")))
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest, hard))
        return again

    yield begin
    again()


class CountingListener(socket.socket):
    """Counts the attempts to accept a connection."""

    attempts = 0

    def accept(self) -> tuple[socket.socket, object]:
        self.attempts += 1
        return super().accept()


def test_without_files_a_client_waits_and_the_log_says_so_once(no_more_files, caplog):
    listener = CountingListener()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    with Served(listener=listener) as served, Wire(served.port) as early:
        assert is_answered(early)
        waiting = [socket.socket() for _ in range(2)]
        allow_more = no_more_files()
        fillers = opened_until_there_are_no_more()
        for sock in waiting:
            sock.connect(("127.0.0.1", served.port))
        wait_for(lambda: told(caplog))
        before = listener.attempts
        wait_for(lambda: listener.attempts == before + 2)
        early.received.clear()
        assert is_answered(early)
        allow_more()
        for sock in waiting:
            sock.settimeout(10)
            sock.sendall(GET)
            assert sock.recv(65536).startswith(b"HTTP/1.1 200 OK")
            sock.close()
        for filler in fillers:
            os.close(filler)
        assert len(told(caplog)) == 1


def opened_until_there_are_no_more() -> list[int]:
    fillers = []
    while True:
        try:
            fillers.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            return fillers


def told(caplog) -> list[logging.LogRecord]:
    return [record for record in caplog.records if "no connection can be accepted" in record.getMessage()]
