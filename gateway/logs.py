"""Structured logs: events with fields, one JSON line each on stderr.

Standard-library loggers (gunicorn, grpc) are rendered the same way. Any module may log through ``logger``.
"""

import json
import logging
import logging.config
import os
import sys
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor

_pid = os.getpid()


def _note_pid() -> None:
    global _pid  # noqa: PLW0603 - asking for it costs a call of the system, for each event
    _pid = os.getpid()


os.register_at_fork(after_in_child=_note_pid)


def _add_pid(logger: object, method: str, event: EventDict) -> EventDict:
    event["pid"] = _pid
    return event


def _add_time(logger: object, method: str, event: EventDict) -> EventDict:
    event["time"] = datetime.now(UTC).isoformat().removesuffix("+00:00") + "Z"
    return event


def _name_logger(logger: object, method: str, event: EventDict) -> EventDict:
    # structlog keeps the word for itself where a logger is made.
    event["logger"] = event.pop("part")
    return event


_SHARED: tuple[Processor, ...] = (
    structlog.processors.add_log_level,
    _add_pid,
    _add_time,
    structlog.processors.format_exc_info,
)


def logger(name: str) -> FilteringBoundLogger:
    """The logger of one part, such as ``backend``."""
    return structlog.get_logger(part=name)  # type: ignore[no-any-return]


def _render(event: EventDict, default: Any = None, **_: Any) -> bytes:
    try:
        return orjson.dumps(event, default=repr)
    except TypeError:
        # An integer beyond 64 bits, or text that is no Unicode.
        return json.dumps(event, default=repr).encode()


def _render_text(event: EventDict, **arguments: Any) -> str:
    return _render(event, **arguments).decode()


def logging_config(level: str) -> dict[str, Any]:
    """The ``logging.config.dictConfig`` under which every standard-library logger writes JSON lines to stderr."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": [structlog.stdlib.add_logger_name, *_SHARED],
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.JSONRenderer(serializer=_render_text),
                ],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "stream": sys.stderr, "formatter": "json"}},
        "root": {"handlers": ["stderr"], "level": level},
    }


def configure(level: str) -> None:
    """Send every log event of this process to stderr as JSON, from ``level`` (a logging level's name) up."""
    logging.config.dictConfig(logging_config(level))
    structlog.configure(
        processors=[_name_logger, *_SHARED, structlog.processors.JSONRenderer(serializer=_render)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )
