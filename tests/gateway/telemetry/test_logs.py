"""Log lines: whole, in their order, each a JSON document with the same fields, however they are written."""

import asyncio
import json
import logging
import os
import re
import subprocess
import sys
import threading
from typing import Any

import pytest
import structlog

from gateway.access import key_text
from gateway.telemetry import logs
from gateway.telemetry.logs import Lines
from tests.event_loop import on_loop, until

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


class File:
    """A file in memory which knows how often it was written, and what of that has been flushed."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.flushed = b""

    def write(self, data: bytes) -> int:
        self.writes.append(data)
        return len(data)

    def flush(self) -> None:
        self.flushed = b"".join(self.writes)


def test_a_line_is_written_at_once():
    file = File()
    Lines(file).write(b"a")
    assert (file.writes, file.flushed) == ([b"a\n"], b"a\n")


def test_without_a_loop_every_line_is_written_at_once():
    file = File()
    lines = Lines(file)
    lines.write_later(b"a")
    assert file.flushed == b"a\n"
    lines.write_later(b"b")
    lines.write(b"c")
    assert file.flushed == b"a\nb\nc\n"


@on_loop
async def test_on_a_loop_lines_are_written_together_in_a_moment():
    file = File()
    lines = Lines(file)
    for round_ in (b"1", b"2"):
        file.writes.clear()
        for line in (b"a", b"b", b"c"):
            lines.write_later(line + round_)
        assert file.writes == []
        await until(lambda: file.writes)
        assert file.writes == [b"a%b\nb%b\nc%b\n" % (round_, round_, round_)]
        assert file.flushed == file.writes[0]
    await asyncio.sleep(0.03)
    assert len(file.writes) == 1


@on_loop
async def test_what_is_urgent_is_written_at_once_behind_what_waited():
    file = File()
    lines = Lines(file)
    lines.write_later(b"a")
    lines.write_later(b"b")
    lines.write(b"c")
    assert (file.writes, file.flushed) == ([b"a\nb\nc\n"], b"a\nb\nc\n")
    await asyncio.sleep(0.03)
    assert len(file.writes) == 1
    lines.write_later(b"d")
    lines.write(b"e")
    lines.write_later(b"f")
    lines.flush()
    assert file.flushed == b"a\nb\nc\nd\ne\nf\n"


def test_a_line_that_waited_on_a_loop_that_is_gone_is_written_with_the_next_urgent_one():
    file = File()
    lines = Lines(file)

    async def log() -> None:
        lines.write_later(b"a")

    asyncio.run(log())
    assert file.writes == []
    lines.write_later(b"b")
    lines.write(b"c")
    assert file.flushed == b"a\nb\nc\n"


@pytest.mark.parametrize("method", ["debug", "info"])
@on_loop
async def test_what_is_information_may_wait(method):
    file = File()
    getattr(Lines(file), method)(b"a")
    assert file.writes == []


@pytest.mark.parametrize("method", ["warning", "error", "critical", "exception", "fatal", "msg", "log"])
@on_loop
async def test_everything_else_may_not(method):
    file = File()
    getattr(Lines(file), method)(b"a")
    assert file.flushed == b"a\n"


def test_threads_write_whole_lines_and_each_in_its_order():
    """Through a real file; two of the threads with an event loop."""
    read, written = os.pipe()
    each, received = 300, bytearray()

    def receive() -> None:
        while data := os.read(read, 65536):
            received.extend(data)

    def write_all(lines: Lines, name: str) -> None:
        for number in range(each):
            write = lines.write if number % 5 == 0 else lines.write_later
            write(f"{name} {number} {'x' * (number % 100)}".encode())

    async def write_halves(lines: Lines, name: str) -> None:
        for half in ("first", "second"):
            write_all(lines, f"{name} {half}")
            await asyncio.sleep(0.015)
        lines.flush()

    def write_all_on_a_loop(lines: Lines, name: str) -> None:
        asyncio.run(write_halves(lines, name))

    receiver = threading.Thread(target=receive)
    receiver.start()
    with open(written, "wb") as file:
        lines = Lines(file)
        targets = [(write_all, "a"), (write_all, "b"), (write_all_on_a_loop, "c"), (write_all_on_a_loop, "d")]
        threads = [threading.Thread(target=target, args=(lines, name)) for target, name in targets]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    receiver.join()
    os.close(read)
    found = received.decode().split("\n")
    assert found.pop() == ""
    for name in ("a", "b", "c first", "c second", "d first", "d second"):
        own = [line for line in found if line.startswith(f"{name} ")]
        assert own == [f"{name} {number} {'x' * (number % 100)}" for number in range(each)]
    assert len(found) == 6 * each


def rendered(method: str = "info", **fields: Any) -> dict[str, Any]:
    """The document of an event, by way of structlog as ``configure`` sets it up, but into a file of the test."""
    return json.loads(line_of(method, **fields))


def line_of(method: str = "info", level: int = logging.DEBUG, **fields: Any) -> bytes:
    file = File()
    logger = structlog.wrap_logger(
        Lines(file),
        processors=[logs._to_line],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        part="backend",
    )
    getattr(logger, method)("version.available", **fields)
    return file.flushed


LEVELS = {
    "debug": "debug",
    "info": "info",
    "warning": "warning",
    "warn": "warning",
    "error": "error",
    "critical": "critical",
    "fatal": "critical",
    "exception": "error",
}


@pytest.mark.parametrize("method", LEVELS)
def test_an_event_has_its_fields(method):
    document = rendered(method, model="digits", version=2)
    assert TIME.fullmatch(document.pop("time"))
    assert document.pop("exception", "NoneType: None") == "NoneType: None"
    expected = {"logger": "backend", "level": LEVELS[method], "pid": os.getpid(), "event": "version.available"}
    assert document == expected | {"model": "digits", "version": 2}


def test_an_event_of_a_library_has_the_fields_of_our_own():
    records = []
    library = logging.Logger("library")
    library.addHandler(logging.Handler())
    library.handlers[0].emit = records.append  # type: ignore[method-assign]
    library.warning("of %s", "another")
    document = json.loads(logs.JsonFormatter().format(records[0]))
    assert TIME.fullmatch(document.pop("time"))
    assert document == {"logger": "library", "level": "warning", "pid": os.getpid(), "event": "of another"}


def test_an_error_of_a_library_is_told_with_its_trace():
    try:
        int("of a test")
    except ValueError:
        record = logging.LogRecord("library", logging.ERROR, "", 0, "it failed", (), sys.exc_info())
    document = json.loads(logs.JsonFormatter().format(record))
    assert document["exception"].endswith("ValueError: invalid literal for int() with base 10: 'of a test'")
    assert "Traceback" in document["exception"]


def test_an_error_is_told_with_its_trace():
    try:
        int("of a test")
    except ValueError as error:
        for document in (rendered("exception"), rendered("error", exc_info=True), rendered("info", exc_info=error)):
            assert document["exception"].endswith("ValueError: invalid literal for int() with base 10: 'of a test'")
            assert "Traceback" in document["exception"]
            assert "exc_info" not in document
    assert "exception" not in rendered("info", exc_info=False)


def test_no_line_holds_the_secret_of_a_key():
    key = key_text.new()
    shown = f"sgk_{key.id}..."
    document = rendered(path=f"/a/{key.text}\n", number=2**70, more={"b": [key.text]})
    assert (document["path"], document["number"], document["more"]) == (f"/a/{shown}\n", 2**70, {"b": [shown]})
    try:
        int(key.text)
    except ValueError:
        assert rendered("exception")["exception"].endswith(f"invalid literal for int() with base 10: '{shown}'")


@pytest.mark.parametrize("obeyed", ["\x85", "\x9b31m", "\u2028", "\u202e", "\u2066"])
def test_no_line_has_characters_that_a_terminal_obeys(obeyed):
    text = f"\xe9{obeyed}\u20ac"
    assert obeyed[0] not in line_of(text=text).decode()
    assert rendered(text=text)["text"] == text


@pytest.mark.parametrize("number", [2**63, 2**64, -(2**63) - 1, 10**40])
def test_a_number_beyond_64_bits_is_written(number):
    assert rendered(number=number)["number"] == number


@pytest.mark.parametrize("text", ["\ud800", "a\udcffb", '\u20ac\n"\\\x00\x7f', "\U0001f600", ""])
def test_every_text_is_written_in_one_line(text):
    line = line_of(text=text, nested=[{"a": text}])
    assert line.count(b"\n") == 1
    line.decode("ascii" if "\\ud" in repr(text) else "utf-8")
    document = json.loads(line)
    assert (document["text"], document["nested"]) == (text, [{"a": text}])


def test_what_has_no_json_is_written_as_it_is_shown():
    document = rendered(error=ValueError("a"), data=b"\xff", names={"b"}, both=[2**70, ValueError("a"), "\udcff"])
    assert (document["error"], document["data"], document["names"]) == ("ValueError('a')", "b'\\xff'", "{'b'}")
    assert document["both"] == [2**70, "ValueError('a')", "\udcff"]


def test_what_is_below_the_level_is_not_written():
    assert line_of("info", logging.WARNING) == b""
    assert line_of("warning", logging.WARNING) != b""


PROGRAM = """
import asyncio, logging, os, sys
from gateway.telemetry import logs
logs.configure("INFO")
log = logs.logger("main")
async def main():
    log.info("first", number=1)
    log.debug("unseen")
    log.warning("second")
    log.info("third")
    logs.flush()
asyncio.run(main())
logging.getLogger("library").warning("of %s", "another")
child = os.fork()
log.info("in both", is_child=child == 0)
if child == 0:
    sys.exit()
os.waitpid(child, 0)
"""


def test_a_process_writes_its_events_and_those_of_libraries_alike():
    """In the order in which they happened, a child's with its own process id."""
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, timeout=60, check=True)
    documents = [json.loads(line) for line in ended.stderr.splitlines()]
    events = [document["event"] for document in documents]
    assert events == ["first", "second", "third", "of another", "in both", "in both"]
    assert [document["logger"] for document in documents[:4]] == ["main", "main", "main", "library"]
    assert {*documents[0]} == {*documents[3], "number"} == {"event", "level", "logger", "number", "pid", "time"}
    assert all(TIME.fullmatch(document["time"]) for document in documents)
    pids = {document.get("is_child"): document["pid"] for document in documents}
    assert pids[False] == pids[None] != pids[True]
    assert ended.stdout == b""
