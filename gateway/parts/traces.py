"""The traces of one process, made from the settings. OpenTelemetry is imported only here, and only if there are traces."""

import re
from typing import Final

from gateway.settings import Settings, SettingsError
from gateway.tracing.exporter import Exporter
from gateway.tracing.finished import Sink
from gateway.tracing.tracer import Tracer

# A gRPC target: host:port, perhaps after the name of a resolver.
_ADDRESS: Final = re.compile(r"(?:\w+:/*)??(.+?)(?::([0-9]+))?\Z")


def tracer(settings: Settings) -> Tracer | None:
    """The traces, not started; None when they are off. Raises SettingsError when the extra is missing."""
    sink = _sink(settings)
    if sink is None:
        return None
    found = _ADDRESS.match(settings.serving_target)
    host, port = (found[1], int(found[2] or 0)) if found else (settings.serving_target, 0)
    return Tracer(Exporter(sink, host, port), settings.otel.sampler, settings.traces_slow_ms / 1000)


def check_traces(settings: Settings) -> None:
    """Look once, before there are workers, whether traces can be written.

    Raises:
        SettingsError: the extra is missing, the file cannot be written, or both a file and an address are given.
    """
    if settings.traces_file is not None and settings.otel.receiver is not None:
        raise SettingsError("GATEWAY_TRACES_FILE: expected none beside OTEL_EXPORTER_OTLP_ENDPOINT: traces go to one of them")
    if _sink(settings) is not None and settings.traces_file is not None:
        try:
            settings.traces_file.open("ab").close()
        except OSError as error:
            raise SettingsError(f"GATEWAY_TRACES_FILE: expected a file that can be written to: {error}") from error


def _sink(settings: Settings) -> Sink | None:
    try:
        if settings.traces_file is not None:
            from gateway.tracing.sinks.file import FileSink  # noqa: PLC0415

            return FileSink(settings.traces_file)
        if settings.otel.receiver is not None:
            from gateway.tracing.sinks.otlp import OtlpSink  # noqa: PLC0415

            return OtlpSink(settings.otel.receiver)
    except ModuleNotFoundError as error:
        variable = "OTEL_EXPORTER_OTLP_ENDPOINT" if settings.traces_file is None else "GATEWAY_TRACES_FILE"
        needed = "is set and traces need the extra otel: pip install 'serving-gateway[otel]'"
        raise SettingsError(f"{variable}: it {needed} ({error.name} is missing)") from error
    return None
