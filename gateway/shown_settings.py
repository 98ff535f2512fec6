"""The settings of a gateway for whoever looks after it: what each one is, and nothing that is secret."""

from typing import Any, Final, NamedTuple

from gateway.access.key_text import hide_secrets
from gateway.settings import Settings, setting_rows

HIDDEN: Final = "***"

_ADDRESSES: Final = frozenset({"GATEWAY_REDIS_URL", "GATEWAY_PREDICTION_LOG"})
"""Settings that may hold a password, beside those of others."""

_OF_OTHERS: Final = {
    "DATABASE_URL": "Where predictions are logged if `GATEWAY_PREDICTION_LOG` is not set, and where the plans of rollouts are.",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "The OTLP/HTTP receiver of traces. Empty: there is none.",
    "OTEL_EXPORTER_OTLP_HEADERS": "What each request to the receiver of traces carries.",
    "OTEL_TRACES_SAMPLER": "Which traces are recorded.",
    "OTEL_TRACES_SAMPLER_ARG": "The part of the traces that is recorded.",
    "OTEL_SERVICE_NAME": "What the gateway is called in its traces.",
}
_DEFAULTS: Final = {"OTEL_TRACES_SAMPLER": "parentbased_always_on", "OTEL_SERVICE_NAME": "serving-gateway"}


class ShownSetting(NamedTuple):
    """One setting: its variable, its value and its default as text, and its meaning in Markdown."""

    name: str
    value: str
    default: str
    meaning: str

    @property
    def is_default(self) -> bool:
        """Whether it has the value that it has when nobody sets it."""
        return self.value == self.default

    def as_json(self) -> dict[str, Any]:
        """The same for JSON."""
        return {**self._asdict(), "is_default": self.is_default}


def shown_settings(settings: Settings) -> list[ShownSetting]:
    """Every setting of the gateway in the order of the documentation, then those that have names of others.

    Of an address, what may be a password or a token is hidden: all before an ``@`` and all after a ``?``. Of headers all is.
    """
    own = [
        ShownSetting(
            row.variable, _value(row.variable, settings.given.get(row.variable, row.default)), row.default, row.meaning
        )
        for row in setting_rows()
    ]
    others = [
        ShownSetting(name, _value(name, settings.given.get(name, _DEFAULTS.get(name, ""))), _DEFAULTS.get(name, ""), meaning)
        for name, meaning in _OF_OTHERS.items()
    ]
    return own + others


def _value(name: str, text: str) -> str:
    if name.endswith("_HEADERS"):
        return HIDDEN if text else ""
    if name in _ADDRESSES or name.endswith(("_URL", "_ENDPOINT")):
        text = without_secrets(text)
    return hide_secrets(text)


def without_secrets(address: str) -> str:
    """``address`` without what may be a password or a token in it; what is no address is left as it is."""
    scheme, separator, rest = address.partition("://")
    if not separator:
        return address
    hidden, at, place = rest.rpartition("@")
    if "?" in hidden:  # in a password, or an @ after the ?: nobody can tell
        return f"{scheme}://{HIDDEN}"
    place, question, _ = place.partition("?")
    return f"{scheme}://{HIDDEN + at if at else ''}{place}{question + HIDDEN if question else ''}"
