"""A worker that is told to stop, or has all the connections it may have: what is under way ends well, whatever its class."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.gateway.server.http_case import Case, play
from tests.gateway.server.http_cases_app import chunked, get, post
from tests.gateway.server.http_servers import AppServer, app_servers
from tests.gateway.server.http_wire import Wire
from tests.waiting import wait_for

LARGE = 3_000_000


def on_each(folder: Path, check: Callable[[AppServer], None], **config: object) -> None:
    """Run ``check`` on a server of each worker class, on all at a time; what fails is told by class."""
    with app_servers(folder, **config) as started, ThreadPoolExecutor(len(started)) as pool:
        errors = {name: pool.submit(check, server).exception for name, server in started.items()}
        told = {name: error() for name, error in errors.items()}
    for name, error in told.items():
        if error is not None:
            raise AssertionError(f"with {name}: {error}") from error


def told_to_stop(server: AppServer) -> None:
    """SIGTERM was sent, and the worker knows: it takes no new connection."""
    server.process.process.terminate()
    time.sleep(0.3)


def ended(server: AppServer) -> int:
    return server.process.process.wait(20)


@pytest.mark.parametrize(
    ("request_", "cut"),
    [
        (get("/healthz"), 20),
        (get("/healthz"), 1),
        (post("/read-all"), -5),
        (post("/read-all"), -18),
        (chunked("/read-all"), -10),
    ],
    ids=["in the line", "behind a byte", "in the body", "before the body", "in the chunks"],
)
def test_a_request_that_has_begun_is_answered(tmp_path, request_, cut):
    def check(server: AppServer) -> None:
        with Wire(server.port) as wire:
            wire.play((request_[:cut], 0.1))
            told_to_stop(server)
            wire.play((request_[cut:],))
            [answer] = wire.read_to_the_end()
            assert answer.status == 200
            # An application that is waiting for its body has been promised more before.
            assert answer.header(b"connection") == b"close" or b"\r\n\r\n" in request_[:cut]
            assert wire.is_closed
        assert ended(server) == 0

    on_each(tmp_path, check)


def test_a_request_in_the_application_is_answered(tmp_path):
    def check(server: AppServer) -> None:
        with Wire(server.port) as wire:
            wire.play((get("/slow?1"), 0.2))
            told_to_stop(server)
            [answer] = wire.read_to_the_end()
            assert (answer.status, answer.body) == (200, b"at last")
            assert wire.is_closed
        assert ended(server) == 0

    on_each(tmp_path, check)


def test_an_answer_under_way_arrives_whole(tmp_path):
    def check(server: AppServer) -> None:
        with Wire(server.port) as wire:
            wire.play((get("/large"), 0.3))
            told_to_stop(server)
            [answer] = wire.read_to_the_end()
            assert (answer.status, len(answer.body)) == (200, LARGE)
        assert ended(server) == 0

    on_each(tmp_path, check)


def test_a_request_on_a_kept_connection_that_crosses_the_signal_is_answered(tmp_path):
    def check(server: AppServer) -> None:
        with Wire(server.port) as wire:
            wire.play((get("/healthz"),))
            wire.read_until(bool)
            told_to_stop(server)
            wire.play((get("/healthz"),))
            answers = wire.read_to_the_end()
            assert [(answer.status, answer.header(b"connection")) for answer in answers] == [
                (200, b"keep-alive"),
                (200, b"close"),
            ]
        assert ended(server) == 0

    on_each(tmp_path, check)


def test_one_that_follows_at_once_on_an_answer_that_crossed_the_signal_is_answered(tmp_path):
    """The answer said that the connection is kept: it was sent before the signal came."""

    def check(server: AppServer) -> None:
        lost = []

        def keep_asking() -> None:
            with Wire(server.port) as wire:
                while not wire.is_closed:
                    wire.received.clear()
                    wire.answered_s.clear()
                    wire.play((get("/healthz"),))
                    answers = wire.read_until(bool)
                    if not answers:
                        lost.append(wire)
                    elif answers[-1].header(b"connection") == b"close":
                        return

        clients = [threading.Thread(target=keep_asking) for _ in range(8)]
        for client in clients:
            client.start()
        time.sleep(0.3)
        server.process.process.terminate()
        for client in clients:
            client.join()
        assert ended(server) == 0
        assert lost == []

    on_each(tmp_path, check)


def test_idle_connections_do_not_hold_the_end_up(tmp_path):
    def check(server: AppServer) -> None:
        with Wire(server.port) as kept, Wire(server.port) as silent:
            kept.play((get("/healthz"),))
            kept.read_until(bool)
            told_to_stop(server)
            assert ended(server) == 0
            kept.read_to_the_end()
            silent.read_to_the_end()
            assert kept.is_closed
            assert silent.is_closed

    on_each(tmp_path, check)


def test_connections_over_the_limit_wait_until_others_go(tmp_path):
    """And those that went, however, are not counted any more."""

    def check(server: AppServer) -> None:
        for round_ in range(3):
            for place in range(12):
                with Wire(server.port) as wire:
                    wire.play((get("/healthz")[: None if place % 2 else 9], *(("reset",) if place % 3 else ())))
            wires = [Wire(server.port) for _ in range(10)]
            try:
                for wire in wires:
                    wire.play((get("/healthz"),))
                    assert [answer.status for answer in wire.read_until(bool)] == [200], round_
            finally:
                for wire in wires:
                    wire.sock.close()
        with Wire(server.port) as last:
            last.play((get("/healthz"),))
            assert last.read_until(bool)[-1].status == 200

    on_each(tmp_path, check, worker_connections=10, threads=2)


def test_while_a_client_does_not_read_others_are_served(tmp_path):
    def check(server: AppServer) -> None:
        with Wire(server.port) as deaf:
            deaf.play((get("/large") * 3,))
            for _ in range(3):
                wait_for(lambda: play(Case("others", "200 kept", (get("/healthz"),)), server.port).told == "200 kept")
            answers = deaf.read_until(lambda answers: len(answers) == 3)
            assert [len(answer.body) for answer in answers] == [LARGE] * 3

    on_each(tmp_path, check)
