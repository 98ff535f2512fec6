"""OpenTelemetry's own variables, as far as they decide whether and which traces there are.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/. Unlike in the SDK, a bad value stops the
start. What the resource is called is read by the SDK itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.tracing.receiver import Receiver, read_receiver
from gateway.tracing.sampler import Sampler

_SAMPLER: Final = "OTEL_TRACES_SAMPLER"
_RATIO: Final = "OTEL_TRACES_SAMPLER_ARG"

# Name of a sampler -> its ratio (None: that of the argument), and whether it follows the parent.
_SAMPLERS: Final[Mapping[str, tuple[float | None, bool]]] = {
    "always_on": (1.0, False),
    "always_off": (0.0, False),
    "traceidratio": (None, False),
    "parentbased_always_on": (1.0, True),
    "parentbased_always_off": (0.0, True),
    "parentbased_traceidratio": (None, True),
}

_DEFAULT: Final = Sampler()


@dataclass(frozen=True, slots=True)
class Standard:
    """``receiver``: where traces are sent; None: nowhere."""

    receiver: Receiver | None = None
    sampler: Sampler = _DEFAULT


def read_standard(environ: Mapping[str, str]) -> Standard:
    """What the variables say. Raises ValueError with one line that names the variable that is bad."""
    return Standard(None if _is_off(environ) else read_receiver(environ), _sampler(environ))


def _is_off(environ: Mapping[str, str]) -> bool:
    exporter = environ.get("OTEL_TRACES_EXPORTER") or "otlp"
    if exporter not in ("otlp", "none"):
        raise ValueError(f"OTEL_TRACES_EXPORTER={exporter!r}: expected otlp or none")
    return exporter == "none" or environ.get("OTEL_SDK_DISABLED", "").lower() == "true"


def _sampler(environ: Mapping[str, str]) -> Sampler:
    name = environ.get(_SAMPLER) or "parentbased_always_on"
    if name not in _SAMPLERS:
        raise ValueError(f"{_SAMPLER}={name!r}: expected {', '.join(_SAMPLERS)}")
    ratio, follows_parent = _SAMPLERS[name]
    return Sampler(_ratio(environ.get(_RATIO) or "1") if ratio is None else ratio, follows_parent)


def _ratio(text: str) -> float:
    try:
        ratio = float(text)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise ValueError(f"{_RATIO}={text!r}: expected a number from 0 to 1")
    return ratio
