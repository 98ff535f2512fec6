"""Structured logs: events with fields, one JSON line each on stderr.

The events of standard-library loggers (gunicorn, grpc) are rendered the same way. Any module may log through ``logger``.

Events of the levels debug and info may be written a moment later and together, because writing is the larger part of what a
line costs.
"""

import atexit
import json
import logging
import os
import re
import sys
import threading
import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, BinaryIO, Final

import orjson
import structlog
from structlog.typing import EventDict, FilteringBoundLogger

from gateway.access.key_text import PREFIX, hide_secrets
from gateway.telemetry.soon import soon

_pid = os.getpid()
_lines: "Lines | None" = None
_least_level = logging.INFO
_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO}
_KEY: Final = PREFIX.encode()
# The second set of control characters, the ends of lines that are no ASCII, and what turns the direction of text.
_OBEYED: Final = re.compile("[\x80-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def _note_pid() -> None:
    global _pid  # noqa: PLW0603 - asking for it costs a call of the system, for each event
    _pid = os.getpid()


os.register_at_fork(after_in_child=_note_pid)


def logger(name: str) -> FilteringBoundLogger:
    """The logger of one part, such as ``backend``."""
    return structlog.get_logger(part=name)  # type: ignore[no-any-return]


def _to_line(logger: object, method: str, event: EventDict) -> bytes:
    """The line of ``event``, without the secret of any key: structlog's only processor, as every request has such an event."""
    line = _dumped(logger, method, event)
    if not line.isascii():
        line = printable_json(line.decode()).encode()
    return hide_secrets(line.decode()).encode() if _KEY in line else line


def printable_json(text: str) -> str:
    """The JSON ``text`` with escapes for what a terminal might obey: JSON has them only for characters below U+0020."""
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _dumped(logger: object, method: str, event: EventDict) -> bytes:
    # structlog keeps the word for itself where a logger is made.
    event["logger"] = event.pop("part")
    event["level"] = method
    event["pid"] = _pid
    second, part_s = divmod(time.time(), 1)
    event["time"] = f"{_second(second)}.{int(part_s * 1e6):06d}Z"
    if "exc_info" in event:
        event = structlog.processors.format_exc_info(logger, method, event)
    try:
        return orjson.dumps(event, default=repr)
    except TypeError:  # an integer beyond 64 bits, or text that is no Unicode
        return json.dumps(event, default=repr).encode()


@lru_cache(maxsize=1)
def _second(second: float) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class Lines:
    """Writes lines to ``file``, which is not buffered any more. Thread-safe: what structlog calls a logger."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._later: list[bytes] = []

    def write(self, line: bytes) -> None:
        """Write ``line`` now, behind those that waited."""
        with self._lock:
            self._later.append(line)
        self.flush()

    def write_later(self, line: bytes) -> None:
        """Write ``line`` in a moment, with those of others; at once if no event loop runs here and nothing waits."""
        with self._lock:
            self._later.append(line)
            is_first = len(self._later) == 1
        if is_first:
            soon(self.flush)

    def flush(self) -> None:
        """Write the lines that wait."""
        with self._lock:
            lines, self._later = self._later, []
            if lines:
                self._file.write(b"\n".join([*lines, b""]))
                self._file.flush()

    debug = info = write_later
    warning = error = critical = exception = fatal = msg = log = write


def write_request(level: str, fields: dict[str, Any]) -> None:
    """Log the event ``request`` with ``fields``, which are not kept, at ``level`` (``debug``, ``info``).

    It is what ``logger("request").info("request", **fields)`` does, in a third of the time: every request has this event.
    """
    if _lines is None:
        getattr(logger("request"), level)("request", **fields)
    elif _LEVELS[level] >= _least_level:
        fields["part"] = fields["event"] = "request"
        _lines.write_later(_to_line(None, level, fields))


class JsonFormatter(logging.Formatter):
    """Renders a record of the standard library's logging as the same kind of line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        event: EventDict = {"event": record.getMessage(), "part": record.name}
        if record.exc_info:
            event["exc_info"] = record.exc_info
        if record.stack_info:
            event["stack_info"] = record.stack_info
        return _to_line(None, record.levelname.lower(), event).decode()


def configure(level: str) -> None:
    """Send every log event of this process to stderr as JSON, from ``level`` (a logging level's name) up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    global _lines, _least_level  # noqa: PLW0603 - the process has one log
    _least_level = logging.getLevelNamesMapping()[level]
    _lines = lines = Lines(sys.stderr.buffer)
    structlog.configure(
        processors=[_to_line],
        wrapper_class=structlog.make_filtering_bound_logger(_least_level),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=True,
    )
    atexit.register(flush)


def flush() -> None:
    """Write the lines that wait for others: this process is about to end, or its event loop is."""
    if _lines is not None:
        _lines.flush()
