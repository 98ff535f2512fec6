"""Structured logs on stderr: JSON lines for machines, key=value for a terminal."""

import sys

import structlog


def configure() -> None:
    """Send every event to stderr, one line each."""
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if sys.stderr.isatty():
        renderer = structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            _event_first,
            structlog.processors.format_exc_info,
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )


def _event_first(logger: object, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """What every line has comes before the fields of its event."""
    del logger, method
    return {name: event.pop(name) for name in ("timestamp", "level", "event")} | dict(event)
