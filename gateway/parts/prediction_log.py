"""The prediction log of one process, made from the settings: what writes it, and what reads it for /admin/log."""

from gateway.api.admin.log_reader import LogReader
from gateway.prediction_log.log import PredictionLog
from gateway.prediction_log.rules import Rules
from gateway.prediction_log.sinks.address import sink_at
from gateway.settings import Settings, SettingsError


def prediction_log(settings: Settings) -> PredictionLog | None:
    """The prediction log, not started; None when it is off. Raises SettingsError for an address that is none."""
    if settings.prediction_log == "off":
        return None
    try:
        sink = sink_at(settings.prediction_log)
    except ValueError as error:
        raise SettingsError(f"GATEWAY_PREDICTION_LOG (or DATABASE_URL): {error}") from error
    rules = Rules(settings.prediction_log_sample, settings.prediction_log_sample_errors, settings.prediction_log_values)
    return PredictionLog(sink, rules, max_bytes=settings.prediction_log_queue_bytes, keep_s=settings.prediction_log_keep)


def log_reader(settings: Settings) -> LogReader | None:
    """What reads the prediction log, which is not opened yet; None when it is off."""
    return None if settings.prediction_log == "off" else LogReader(settings.prediction_log)
