"""Every setting of the gateway, read from the environment once, at the start. Nothing else reads the environment.

A bad value, or a ``GATEWAY_*`` name that is no setting, stops the start with the variable, the value and what was expected.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, validate

PREFIX = "GATEWAY_"


class SettingsError(Exception):
    """Raised when the environment does not make valid settings; the message has one line for each problem."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The gateway's settings. The environment variable of ``port`` is ``GATEWAY_PORT``, and so on; each is explained below."""

    host: str
    port: int
    workers: int
    threads: int
    serving_target: str
    model_config_file: Path | None
    predict_model: str
    predict_timeout_ms: int
    max_body_bytes: int
    catalog_poll_ms: int
    drain_delay_ms: int
    graceful_timeout_s: int
    log_level: str


def _number(default: int, meaning: str, least: int, most: int) -> fields.Field[Any]:
    return fields.Integer(
        load_default=default,
        validate=validate.Range(least, most),
        metadata={"meaning": meaning, "expected": f"a whole number from {least} to {most}"},
    )


def _text(default: str, meaning: str, expected: str, accepted: validate.Validator | None = None) -> fields.Field[Any]:
    return fields.String(load_default=default, validate=accepted, metadata={"meaning": meaning, "expected": expected})


class _Environment(Schema):
    """The environment's ``GATEWAY_*`` variables without their prefix, in lower case."""

    class Meta:
        unknown = RAISE

    host = _text("127.0.0.1", "Address to listen on; `0.0.0.0` for all.", "an address", validate.Length(min=1))
    port = _number(8080, "Port to listen on.", 1, 65535)
    workers = _number(2, "Worker processes.", 1, 256)
    threads = _number(32, "Requests that one worker handles at a time.", 1, 1024)
    serving_target = _text(
        "127.0.0.1:8500",
        "The model server: `host:port`, or a gRPC target such as `dns:///serving:8500`.",
        "host:port or a gRPC target",
        validate.Regexp(
            r"([^\s:/]+|\[[0-9a-fA-F:.]+\]):\d{1,5}\Z|(dns|ipv4|ipv6|unix|unix-abstract|xds|passthrough):/*[^\s/]\S*\Z"
        ),
    )
    model_config_file = _text(
        "",
        "The server's `models.config`: the models without which the gateway is not ready. Empty: those that requests name.",
        "the path of a file",
    )
    predict_model = _text("", "The model of a bare `POST /predict`. Empty: the only one that is served.", "a model's name")
    predict_timeout_ms = _number(2000, "The deadline of a request, in milliseconds, the model's time included.", 1, 3_600_000)
    max_body_bytes = _number(67_108_864, "The largest HTTP body; above it the answer is 413.", 1, 2**31 - 1)
    catalog_poll_ms = _number(1000, "How often the server is asked for its models' versions, in milliseconds.", 50, 60_000)
    drain_delay_ms = _number(
        0, "After SIGTERM, how long `/readyz` says 503 while requests are still taken, in milliseconds.", 0, 600_000
    )
    graceful_timeout_s = _number(30, "After SIGTERM, how long requests in flight may take to end, in seconds.", 1, 3600)
    log_level = _text(
        "INFO",
        "Log events from this level up: `DEBUG`, `INFO`, `WARNING` or `ERROR`.",
        "DEBUG, INFO, WARNING or ERROR",
        validate.OneOf(("DEBUG", "INFO", "WARNING", "ERROR")),
    )


_SCHEMA = _Environment()


@dataclass(frozen=True, slots=True)
class SettingRow:
    """What there is to tell about one setting: its variable, the default as text, and its meaning in Markdown."""

    variable: str
    default: str
    meaning: str


def rows() -> tuple[SettingRow, ...]:
    """Every setting, in the order in which they are documented."""
    return tuple(
        SettingRow(_variable(name), str(field.load_default), field.metadata["meaning"])
        for name, field in _SCHEMA.fields.items()
    )


def from_environment(environ: Mapping[str, str]) -> Settings:
    """The settings that ``environ`` makes; an empty value counts as not given.

    Raises:
        SettingsError: a value is bad or a ``GATEWAY_*`` name unknown.
    """
    given = {name: value for name, value in environ.items() if name.startswith(PREFIX) and value}
    try:
        values = _SCHEMA.load({name.removeprefix(PREFIX).lower(): value for name, value in given.items()})
    except ValidationError as error:
        raise SettingsError("\n".join(_problem(name, environ) for name in error.messages_dict)) from error
    path = values.pop("model_config_file")
    return Settings(model_config_file=Path(path) if path else None, **values)


def _problem(name: str, environ: Mapping[str, str]) -> str:
    variable = _variable(name)
    if name in _SCHEMA.fields:
        return f"{variable}={environ[variable]!r}: expected {_SCHEMA.fields[name].metadata['expected']}"
    nearest = difflib.get_close_matches(variable, [row.variable for row in rows()], n=1)
    return f"{variable}: there is no such setting" + (f"; did you mean {nearest[0]}?" if nearest else "")


def _variable(name: str) -> str:
    return PREFIX + name.upper()
