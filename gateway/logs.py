"""Structured logs: events with fields, one JSON line each on stderr.

Standard-library loggers (gunicorn, grpc) are rendered the same way. Any module may log through ``logger``.
"""

import logging
import logging.config
import os
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, Processor


def _add_pid(logger: object, method: str, event: EventDict) -> EventDict:
    event["pid"] = os.getpid()
    return event


_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    _add_pid,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
)


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of one part, such as ``backend``."""
    return structlog.stdlib.get_logger(name)


def logging_config(level: str) -> dict[str, Any]:
    """The ``logging.config.dictConfig`` under which every logger of the process writes JSON lines to stderr."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": list(_SHARED),
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,
                    structlog.processors.JSONRenderer(),
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
        processors=[structlog.stdlib.filter_by_level, *_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
