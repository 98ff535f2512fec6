"""OpenTelemetry's own variables, as far as they decide whether and which traces there are.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/. The SDK itself reads the others: headers,
certificates, time-out and compression of the exporter, and what the resource is called. Unlike the SDK, a bad value stops the
start.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from gateway.tracing.sampler import Sampler

_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
_TRACES_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
_HEADERS: Final = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
# As the SDK reads a header, or nothing; of another one it would log all that was given, which may be a token.
_HEADER: Final = re.compile(r"([ \t]*[!#-'*+.0-9A-Z^-z|~-]+[ \t]*=[ !#-+.-:<-\[\]-~-]*)?")
_COMMA: Final = re.compile(r"[ \t]*,[ \t]*")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
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
    """``endpoint``: the URL that traces are sent to; empty: none."""

    endpoint: str = ""
    sampler: Sampler = _DEFAULT


def read_standard(environ: Mapping[str, str]) -> Standard:
    """What the variables say. Raises ValueError with one line that names the variable that is bad."""
    sampler = _sampler(environ)
    endpoint = environ.get(_TRACES_ENDPOINT) or _joined(environ.get(_ENDPOINT, ""))
    if not endpoint or _is_off(environ):
        return Standard(sampler=sampler)
    if not _is_url(endpoint):
        variable = _TRACES_ENDPOINT if environ.get(_TRACES_ENDPOINT) else _ENDPOINT
        raise ValueError(f"{variable}: expected a URL such as http://collector:4318")
    for variable in _PROTOCOLS:
        if environ.get(variable) not in (None, "", "http/protobuf"):
            raise ValueError(f"{variable}={environ[variable]!r}: expected http/protobuf, which is all that is spoken here")
    for variable in _HEADERS:
        if not all(_HEADER.fullmatch(header) for header in _COMMA.split(environ.get(variable, ""))):
            raise ValueError(f"{variable}: expected name=value, with commas between them and percent escapes in the values")
    return Standard(endpoint, sampler)


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:  # its words would not name the variable
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _is_off(environ: Mapping[str, str]) -> bool:
    exporter = environ.get("OTEL_TRACES_EXPORTER") or "otlp"
    if exporter not in ("otlp", "none"):
        raise ValueError(f"OTEL_TRACES_EXPORTER={exporter!r}: expected otlp or none")
    return exporter == "none" or environ.get("OTEL_SDK_DISABLED", "").lower() == "true"


def _joined(base: str) -> str:
    """The endpoint of traces under that of all signals."""
    return f"{base.removesuffix('/')}/v1/traces" if base else ""


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
