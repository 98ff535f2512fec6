"""The OTLP/HTTP receiver that traces are sent to, as OpenTelemetry's variables describe it.

https://opentelemetry.io/docs/specs/otel/protocol/exporter/. Each variable is there for traces
(OTEL_EXPORTER_OTLP_TRACES_HEADERS) and for all signals (OTEL_EXPORTER_OTLP_HEADERS); the one for traces goes first. An empty
one counts as not set.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

_FOR_TRACES: Final = "OTEL_EXPORTER_OTLP_TRACES_"
_FOR_ALL: Final = "OTEL_EXPORTER_OTLP_"
_TIMEOUT_S: Final = 10.0

# https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2: the name of a header. Its value is printable.
_HEADER: Final = re.compile(r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*=\s*(.*?)\s*", re.DOTALL)
_PRINTABLE: Final = re.compile(r"[ -~]*")


@dataclass(frozen=True, slots=True)
class Receiver:
    """``endpoint``: its URL. ``headers``: what each request carries, names in lower case.

    ``ca``, ``certificate`` and ``key`` are PEM files, or empty: whom to believe, and who the gateway is. ``timeout_s``: of one
    batch, with all attempts.
    """

    endpoint: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    ca: str = ""
    certificate: str = ""
    key: str = ""
    timeout_s: float = _TIMEOUT_S
    is_compressed: bool = False


def read_receiver(environ: Mapping[str, str]) -> Receiver | None:
    """The receiver; None without an endpoint. Raises ValueError with one line that names the variable that is bad."""
    endpoint = _endpoint(environ)
    if not endpoint:
        return None
    _choice(environ, "PROTOCOL", "http/protobuf")
    certificate, key = _file(environ, "CLIENT_CERTIFICATE"), _file(environ, "CLIENT_KEY")
    if key and not certificate:
        raise ValueError(f"{_FOR_ALL}CLIENT_KEY: expected {_FOR_ALL}CLIENT_CERTIFICATE with it")
    compression = _choice(environ, "COMPRESSION", "gzip", "none")
    ca = _file(environ, "CERTIFICATE")
    return Receiver(endpoint, _headers(environ), ca, certificate, key, _timeout_s(environ), compression == "gzip")


def _given(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    """The variable that decides, and its value."""
    variable = _FOR_TRACES + name if environ.get(_FOR_TRACES + name) else _FOR_ALL + name
    return variable, environ.get(variable, "")


def _choice(environ: Mapping[str, str], name: str, *choices: str) -> str:
    variable, value = _given(environ, name)
    if value and value not in choices:
        raise ValueError(f"{variable}={value!r}: expected {' or '.join(choices)}, which is all that is spoken here")
    return value


def _endpoint(environ: Mapping[str, str]) -> str:
    variable, value = _given(environ, "ENDPOINT")
    if not value:
        return ""
    if not _is_url(value):
        raise ValueError(f"{variable}: expected a URL such as http://collector:4318")
    return value if variable.startswith(_FOR_TRACES) else f"{value.removesuffix('/')}/v1/traces"


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:  # its words would not name the variable
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _headers(environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    variable, value = _given(environ, "HEADERS")
    headers = []
    for part in filter(str.strip, value.split(",")):
        found = _HEADER.fullmatch(part)
        content = unquote(found[2]) if found else ""
        if found is None or not _PRINTABLE.fullmatch(content):
            # Without the value, which may be a secret.
            raise ValueError(f"{variable}: expected name=value,name=value, the values percent-encoded")
        headers.append((found[1].lower(), content))
    return tuple(headers)


def _file(environ: Mapping[str, str], name: str) -> str:
    variable, value = _given(environ, name)
    if value and not Path(value).is_file():
        raise ValueError(f"{variable}={value!r}: expected a file in PEM")
    return value


def _timeout_s(environ: Mapping[str, str]) -> float:
    """In the variable it is in milliseconds, as every time of OpenTelemetry's configuration."""
    variable, value = _given(environ, "TIMEOUT")
    if not value:
        return _TIMEOUT_S
    if not (value.isascii() and value.isdecimal() and int(value)):
        raise ValueError(f"{variable}={value!r}: expected a number of milliseconds, such as 10000")
    return int(value) / 1000
