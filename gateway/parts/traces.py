"""The traces of one process, made from the settings. OpenTelemetry is imported only here, and only if there are traces."""

from gateway.backend.servers.target import parse_target
from gateway.settings import Settings, SettingsError
from gateway.telemetry.exemplars import Exemplars
from gateway.tracing.exporter import Exporter
from gateway.tracing.finished import Sink
from gateway.tracing.tracer import Tracer


def exemplars(settings: Settings, metrics_dir: str | None) -> Exemplars | None:
    """The exemplars, shared by the workers that share ``metrics_dir``; None when they are off."""
    return Exemplars(metrics_dir) if settings.metrics_exemplars == "on" else None


def tracer(settings: Settings, shown: Exemplars | None = None) -> Tracer | None:
    """The traces, not started; None when they are off. ``shown`` gets those that were exported.

    Raises SettingsError when the extra is missing.
    """
    sink = _sink(settings)
    if sink is None:
        return None
    host, port = parse_target(settings.serving_target).addresses()[0]
    return Tracer(Exporter(sink, host, port, shown), settings.otel.sampler, settings.traces_slow_ms / 1000)


def check_traces(settings: Settings) -> None:
    """Look once, before there are workers, whether traces can be written.

    Raises:
        SettingsError: the extra is missing, the file cannot be written, both a file and an address are given, or neither is and
            there are to be exemplars.
    """
    if settings.traces_file is not None and settings.otel.receiver is not None:
        raise SettingsError("GATEWAY_TRACES_FILE: expected none beside OTEL_EXPORTER_OTLP_ENDPOINT: traces go to one of them")
    sink = _sink(settings)
    if sink is None and settings.metrics_exemplars == "on":
        expected = "expected GATEWAY_TRACES_FILE or OTEL_EXPORTER_OTLP_ENDPOINT beside it: an exemplar is a trace"
        raise SettingsError(f"GATEWAY_METRICS_EXEMPLARS='on': {expected}")
    if settings.traces_file is not None:
        from gateway.tracing.sinks.file import open_for_append  # noqa: PLC0415

        try:
            open_for_append(settings.traces_file).close()
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
