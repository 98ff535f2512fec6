"""The two ways to the same handlers: our own server, and the Flask application under gunicorn's thread worker or no server."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote_to_bytes

from flask import Flask

from tests.gateway.server.http_wire import Answer, Wire
from tests.gateway.two_ways.requests import Sent
from tests.waiting import free_port, wait_for

ROOT = Path(__file__).resolve().parents[3]
HOST = "gateway.test"
OURS, GUNICORN = (
    ["-m", "gateway"],
    ["-m", "gunicorn", "--no-control-socket", "-k", "gthread", "--threads", "8", "--forwarded-allow-ips", "192.0.2.1"],
)
APPLICATION = "gateway.app:create_app()"
_OF_THE_SERVER = (b"date", b"server", b"connection")

Environment = Mapping[str, str]


@contextmanager
def running(
    arguments: list[str], port: int, environment: Environment, log: Path, stop: signal.Signals = signal.SIGTERM
) -> Iterator[subprocess.Popen[bytes]]:
    """A Python program that serves the gateway on ``port``, once it is ready; told to ``stop`` at the end."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, env=os.environ | environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        wait_for(lambda: process.poll() is not None or is_ready(port), 60)
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        process.send_signal(stop)
        assert process.wait(30) == 0, log.read_text()


@contextmanager
def ours(environment: Environment, log: Path) -> Iterator[int]:
    """``python -m gateway`` with one worker; its port."""
    port = free_port()
    own = {"GATEWAY_PORT": str(port), "GATEWAY_WORKERS": "1"}
    with running(OURS, port, {**environment, **own}, log):
        yield port


@contextmanager
def gunicorn(environment: Environment, log: Path) -> Iterator[int]:
    """gunicorn's own thread worker with the Flask application; its port."""
    port = free_port()
    with running([*GUNICORN, "-b", f"127.0.0.1:{port}", APPLICATION], port, environment, log):
        yield port


def is_ready(port: int) -> bool:
    try:
        return over_the_wire(port, Sent("ready", "GET", "/readyz")).status == 200
    except (OSError, AssertionError):
        return False


def over_the_wire(port: int, sent: Sent) -> Answer:
    """The answer to ``sent`` on a connection of its own."""
    with Wire(port, [0] if sent.method == "HEAD" else []) as wire:
        wire.play([_on_the_wire(sent)])
        answers = [answer for answer in wire.read_until(lambda answers: any(map(_is_final, answers))) if _is_final(answer)]
    assert len(answers) == 1, (sent.id, wire.answers, wire.rest)
    return _without_those_of_the_server(answers[0])


def in_the_test_client(app: Flask, sent: Sent) -> Answer:
    """The answer to ``sent`` without any server."""
    target = _path_of(sent.target)
    path, _, query = target.partition("?")
    response = app.test_client().open(
        "/",
        method=sent.method,
        data=sent.body or None,
        headers=[("Host", HOST), *fields(sent)],
        # werkzeug's client would send a tidier target.
        environ_overrides={
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "RAW_URI": target,
            "REQUEST_URI": target,
        },
    )
    headers = sorted((name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers)
    return _without_those_of_the_server(Answer(response.status_code, b"", tuple(headers), response.data))


def fields(sent: Sent) -> list[tuple[str, str]]:
    has_id = any(name == "X-Request-Id" for name, _ in sent.headers)
    return [*sent.headers, *([] if has_id else [("X-Request-Id", "an-id-of-the-client")])]


def _on_the_wire(sent: Sent) -> bytes:
    named = [("Host", HOST), ("Connection", "close"), *fields(sent)]
    body = sent.body
    if sent.chunks:
        named.append(("Transfer-Encoding", "chunked"))
        pieces = [body[start : start + sent.chunks] for start in range(0, len(body), sent.chunks)]
        body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [*pieces, b""])
    elif body or sent.method in ("POST", "PUT", "PATCH"):
        named.append(("Content-Length", str(len(body))))
    head = f"{sent.method} {sent.target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in named)
    return f"{head}\r\n".encode("latin-1") + body


def _path_of(target: str) -> str:
    if target.startswith("http://"):
        _, separator, path = target.removeprefix("http://").partition("/")
        target = separator + path or "/"
    return target.partition("#")[0]


def _is_final(answer: Answer) -> bool:
    return answer.status >= 200


def _without_those_of_the_server(answer: Answer) -> Answer:
    kept = tuple((name, _steady(name, value)) for name, value in answer.headers if name.lower() not in _OF_THE_SERVER)
    return Answer(answer.status, b"", tuple(sorted(kept)), answer.body)


def _steady(name: bytes, value: bytes) -> bytes:
    """A made id differs from run to run."""
    return b"*" if name.lower() == b"x-request-id" and len(value) == 32 else value
