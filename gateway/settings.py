"""Every setting of the gateway, read from the environment once, at the start. Nothing else reads the environment.

A bad value, or a ``GATEWAY_*`` name that is no setting, stops the start with the variable, the value and what was expected.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from marshmallow import RAISE, Schema, ValidationError, fields, validate

from gateway import cache_setting
from gateway.cache_setting import CachedModel, CachedModels

PREFIX = "GATEWAY_"

# A model's name stands between slash and colon in a path, so it has neither.
_PATTERN = re.compile(r"[^\s:/,]+")


class SettingsError(Exception):
    """Raised when the environment does not make valid settings; the message has one line for each problem."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The gateway's settings. The environment variable of ``port`` is ``GATEWAY_PORT``, and so on; each is explained below."""

    host: str
    port: int
    worker: Literal["loop", "thread"]
    workers: int
    threads: int
    max_in_flight: int
    serving_target: str
    model_config_file: Path | None
    predict_model: str
    predict_timeout_ms: int
    max_body_bytes: int
    read_timeout_ms: int
    catalog_poll_ms: int
    batch_max_rows: int
    batch_max_wait_us: int
    batch_max_in_flight: int
    batch_max_queued_rows: int
    batch_proofs: int
    batch_sample_every: int
    batch_off: tuple[str, ...]
    cache: tuple[CachedModel, ...]
    cache_max_bytes: int
    drain_delay_ms: int
    graceful_timeout_s: int
    log_level: str
    non_finite: Literal["tokens", "null", "error"]
    tfserving_cors: Literal["on", "off"]


def _number(default: int, meaning: str, least: int, most: int) -> fields.Field[Any]:
    return fields.Integer(
        load_default=default,
        validate=validate.Range(least, most),
        metadata={"meaning": meaning, "expected": f"a whole number from {least} to {most}"},
    )


def _text(default: str, meaning: str, expected: str, accepted: validate.Validator | None = None) -> fields.Field[Any]:
    return fields.String(load_default=default, validate=accepted, metadata={"meaning": meaning, "expected": expected})


class _Patterns(fields.Field[tuple[str, ...]]):
    """Names or patterns of models with commas between them."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> tuple[str, ...]:
        patterns = tuple(part.strip() for part in value.split(","))
        if not all(_PATTERN.fullmatch(pattern) for pattern in patterns):
            raise ValidationError("not a list of patterns")
        return patterns


class _Environment(Schema):
    """The environment's ``GATEWAY_*`` variables without their prefix, in lower case."""

    class Meta:
        unknown = RAISE

    host = _text("127.0.0.1", "Address to listen on; `0.0.0.0` for all.", "an address", validate.Length(min=1))
    port = _number(8080, "Port to listen on.", 1, 65535)
    worker = _text(
        "loop",
        "How a worker handles requests: `loop` (one thread for all that are plain and small), `thread` (a thread for each).",
        "loop or thread",
        validate.OneOf(("loop", "thread")),
    )
    workers = _number(0, "Worker processes; 0: one for every two cores, because the model server needs the others.", 0, 256)
    threads = _number(
        32, "Requests that one worker handles in threads at a time: all of them, or under `loop` those that are large.", 1, 1024
    )
    max_in_flight = _number(512, "Requests that one worker has in work at a time; above that 503 at once.", 1, 65_536)
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
    max_body_bytes = _number(33_554_432, "The largest HTTP body; above it the answer is 413.", 1, 2**31 - 1)
    read_timeout_ms = _number(
        10_000,
        "How long a client may take to send a request, or to read the next part of its answer, in milliseconds.",
        100,
        600_000,
    )
    catalog_poll_ms = _number(1000, "How often the server is asked for its models' versions, in milliseconds.", 50, 60_000)
    batch_max_rows = _number(
        64, "The largest batch that waiting requests are joined into, in rows; 0: requests are never joined.", 0, 65_536
    )
    batch_max_wait_us = _number(2000, "Under load, how long a batch waits for more rows, in microseconds.", 0, 1_000_000)
    batch_max_in_flight = _number(1, "Batches of one kind that one worker has in flight at a time.", 1, 64)
    batch_max_queued_rows = _number(
        4096, "Rows that may wait for a batch in one worker; above that 503 at once.", 1, 10_000_000
    )
    batch_proofs = _number(
        8,
        "How many shared calls must have given the answers of lone calls before requests for a version's signature are joined; "
        "0: they are joined without proof.",
        0,
        10_000,
    )
    batch_sample_every = _number(
        1000, "One shared call in so many is compared again after it was answered; 0: none is.", 0, 1_000_000_000
    )
    batch_off = _Patterns(
        load_default=(),
        metadata={
            "meaning": "Models that are never joined, by name or pattern: `found,experimental-*`.",
            "expected": "names of models or patterns with * ? [], with commas between them",
            "default": "",
        },
    )
    cache = CachedModels(
        load_default=(),
        metadata={
            "meaning": "The models whose answers are kept, how many and for how long: `digits:1000:60s,dense:500:2.5s`. "
            "Empty: none.",
            "expected": cache_setting.EXPECTED,
            "default": "",
        },
    )
    cache_max_bytes = _number(
        67_108_864, "What the kept answers of all models may take in one worker, in bytes.", 65_536, 2**40
    )
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
    non_finite = _text(
        "tokens",
        "NaN and infinities in answers under `/v1/`: `tokens` (bare, as TensorFlow Serving), `null`, or `error` (400 instead).",
        "tokens, null or error",
        validate.OneOf(("tokens", "null", "error")),
    )
    tfserving_cors = _text(
        "off",
        "`on`: pages of any origin may read answers under `/v1/` (TensorFlow Serving's `--rest_api_enable_cors_support`).",
        "on or off",
        validate.OneOf(("on", "off")),
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
        SettingRow(_variable(name), field.metadata.get("default", str(field.load_default)), field.metadata["meaning"])
        for name, field in _SCHEMA.fields.items()
    )


def from_environment(environ: Mapping[str, str]) -> Settings:
    """The settings that ``environ`` makes; an empty value counts as not given.

    Raises:
        SettingsError: a value is bad or a ``GATEWAY_*`` name unknown.
    """
    given = {_key(name): value for name, value in environ.items() if name.startswith(PREFIX) and value}
    try:
        values = _SCHEMA.load(given)
    except ValidationError as error:
        raise SettingsError("\n".join(_problem(key, given[key], why) for key, why in error.messages_dict.items())) from error
    path = values.pop("model_config_file")
    return Settings(model_config_file=Path(path) if path else None, **values)


def _problem(key: str, value: str, why: list[str]) -> str:
    if key in _SCHEMA.fields:
        field = _SCHEMA.fields[key]
        which = f" ({'; '.join(why)})" if isinstance(field, CachedModels) else ""
        return f"{_variable(key)}={value!r}: expected {field.metadata['expected']}{which}"
    variable = _variable(key) if key == key.lower() else PREFIX + key
    nearest = difflib.get_close_matches(variable.upper(), [row.variable for row in rows()], n=1)
    return f"{variable}: there is no such setting" + (f"; did you mean {nearest[0]}?" if nearest else "")


def _key(variable: str) -> str:
    """The field that a variable sets; what is not in capitals sets none, and is left as it is."""
    name = variable.removeprefix(PREFIX)
    return name.lower() if name == name.upper() else name


def _variable(name: str) -> str:
    return PREFIX + name.upper()
