"""Every setting of the gateway, read from the environment once, at the start. Nothing else reads the environment.

A bad value, or a ``GATEWAY_*`` name that is no setting, stops the start with the variable, the value and what was expected.
"""

import dataclasses
import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from marshmallow import Schema, ValidationError, fields, validate

from gateway import cache_setting
from gateway.access.limits.addresses import Network, parse_proxies
from gateway.access.limits.limit import parse_limits
from gateway.backend.servers.target import EXPECTED as TARGET_EXPECTED
from gateway.backend.servers.target import parse_target
from gateway.cache_setting import CachedModel, cached_models
from gateway.container_contract import ContainerContract, Platform, read_contract
from gateway.database.address import is_sql
from gateway.prediction_log.retention import parse_age
from gateway.prediction_log.rules import ByModel, Values, parse_rates, parse_values
from gateway.serving_tls import ServingTls, serving_tls
from gateway.tracing.standard import Standard, read_standard

PREFIX: Final = "GATEWAY_"

# A model's name stands between slash and colon in a path, so it has neither.
_PATTERN: Final = re.compile(r"[^\s:/,]+")
_NAME: Final = validate.Regexp(r"[^\s:/]+\Z")
_HOST: Final = validate.Regexp(r"[0-9A-Za-z_.:%-]+\Z")

_REDIS: Final = validate.Regexp(r"(rediss?|unix)://\S+\Z")
# RFC 6454: as a browser sends it.
_ORIGIN: Final = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:.]+\](:[0-9]{1,5})?|\*")
_DATABASE: Final = "DATABASE_URL"
_STANDARD_PREFIX: Final = "OTEL_"
_STATE_FILE: Final = "state.db"

_OF_CLIENTS: Final = frozenset({"GATEWAY_URL", "GATEWAY_KEY"})
"""What programs that call a gateway read; a shell may have them for all of its programs."""

_REMOVED: Final = {
    "batch_max_wait_us": "a batch is sent as soon as the one before it has been answered",
    "worker": "a worker has one event loop for all requests, and no other way",
    "threads": "a worker has one event loop for all requests; GATEWAY_MAX_IN_FLIGHT bounds them",
}
"""Settings of earlier versions, and what there is instead."""


class SettingsError(Exception):
    """Raised when the environment does not make valid settings; the message has one line for each problem."""


def _checked_limits(text: str) -> str:
    """``text``, if it is one of limits."""
    parse_limits(text)
    return text


def _target(text: str) -> str:
    """``text``, if it is a target."""
    parse_target(text)
    return text


def _patterns(text: str) -> tuple[str, ...]:
    """Names or patterns of models with commas between them."""
    patterns = tuple(part.strip() for part in text.split(","))
    if not all(_PATTERN.fullmatch(pattern) for pattern in patterns):
        raise ValidationError("not a list of patterns")
    return patterns


def _origins(text: str) -> tuple[str, ...]:
    """Origins of pages with commas between them, or ``*``."""
    origins = tuple(part.strip() for part in text.split(","))
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(f"{origin[:100]!r} is none, such as https://app.example or http://localhost:3000")
    return origins


def _folder(text: str) -> Path:
    """The path of a folder whose files a database's address can name."""
    if "?" in text:
        raise ValidationError("it has a ?")
    return Path(text)


class _Number(fields.Integer):
    """A whole number in the digits 0 to 9: ``int`` also takes underscores, spaces, and the digits of other scripts."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        if not re.fullmatch(r"-?[0-9]{1,20}", value):
            raise self.make_error("invalid")
        return super()._deserialize(value, attr, data, **kwargs)


def _setting(field: fields.Field[Any], meaning: str, expected: str) -> Any:
    """A field of ``Settings``: what reads its variable, what it means in Markdown, and what a refusal says was expected."""
    return dataclasses.field(metadata={"field": field, "meaning": meaning, "expected": expected})


def _number(default: int, meaning: str, least: int, most: int) -> Any:
    field = _Number(load_default=default, validate=validate.Range(least, most))
    return _setting(field, meaning, f"a whole number from {least} to {most}")


def _text(default: str, meaning: str, expected: str, accepted: validate.Validator | None = None) -> Any:
    return _setting(fields.String(load_default=default, validate=accepted), meaning, expected)


def _choice(default: str, choices: tuple[str, ...], meaning: str) -> Any:
    expected = f"{', '.join(choices[:-1])} or {choices[-1]}"
    return _text(default, meaning, expected, validate.OneOf(choices))


def _parsed(parse: Callable[[str], Any], default: Any, meaning: str, expected: str) -> Any:
    """A setting that ``parse`` reads; it raises ValueError, whose words the refusal repeats."""

    def read(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise ValidationError(str(error)) from error

    field = _setting(fields.Function(deserialize=read, load_default=default), meaning, expected)
    return dataclasses.field(metadata={**field.metadata, "says_why": True})


def _path(meaning: str) -> Any:
    return _setting(fields.Function(deserialize=Path, load_default=None), meaning, "the path of a file")


_STANDARD: Final = Standard()


@dataclass(frozen=True, slots=True)
class Settings:
    """The gateway's settings. The environment variable of ``port`` is ``GATEWAY_PORT``, and so on.

    ``otel`` has OpenTelemetry's own variables, whose names begin with ``OTEL_``; ``database_url`` is ``DATABASE_URL``, and
    ``contract`` what the variables of the platform of ``container_contract`` say. ``given``: the text of each variable that
    decides a setting, by its name; it may hold passwords.
    """

    host: str = _text("127.0.0.1", "Address to listen on; `0.0.0.0` for all.", "an address or a host's name", _HOST)
    port: int = _number(8080, "Port to listen on.", 1, 65535)
    tls_cert: Path | None = _path(
        "A PEM file with the certificate and its chain, for HTTPS. A renewed certificate is taken up within a minute."
    )
    tls_key: Path | None = _path("The PEM file with the key of `GATEWAY_TLS_CERT`.")
    workers: int = _number(
        0, "Worker processes; 0: one for every two cores, because the model server needs the others.", 0, 256
    )
    max_in_flight: int = _number(512, "Requests that one worker handles at a time; above that 503 at once.", 1, 65_536)
    serving_target: str = _parsed(
        _target,
        "127.0.0.1:8500",
        "The model servers: `host:port`, several of them with commas between, or a gRPC target such as `dns:///serving:8500`. "
        "Every address of a name is a server; the name is looked up again every 2 s.",
        TARGET_EXPECTED,
    )
    balancing: Literal["round_robin", "least_loaded"] = _choice(
        "round_robin",
        ("round_robin", "least_loaded"),
        "Which of several model servers gets a call: `round_robin` (one after the other), or `least_loaded` (the one with the "
        "fewest rows in flight).",
    )
    serving_tls_ca: Path | None = _path(
        "A PEM file with the certificates that sign the model server's. With it the gateway speaks TLS to the server. The "
        "files of these settings are read again when they change."
    )
    serving_tls_cert: Path | None = _path(
        "For mutual TLS: a PEM file with the certificate that the gateway shows, and its chain."
    )
    serving_tls_key: Path | None = _path("The PEM file with the key of `GATEWAY_SERVING_TLS_CERT`.")
    serving_tls_name: str = _text(
        "", "A name in the model server's certificate. Empty: the host of `GATEWAY_SERVING_TARGET`.", "a host's name", _HOST
    )
    model_config_file: Path | None = _path(
        "The server's `models.config`: the models without which the gateway is not ready. Empty: those that requests name."
    )
    model_max_in_flight: int = _number(
        32, "Calls of one model that one worker has at the model server at a time; others wait, within their deadline.", 1, 1024
    )
    predict_model: str = _text(
        "", "The model of a bare `POST /predict`. Empty: the only one that is served.", "a model's name", _NAME
    )
    predict_timeout_ms: int = _number(
        2000,
        "The deadline of a request, in milliseconds, from when it has been received: the model's time is included.",
        1,
        3_600_000,
    )
    max_body_bytes: int = _number(33_554_432, "The largest HTTP body; above it the answer is 413.", 1, 2**31 - 1)
    read_timeout_ms: int = _number(
        10_000,
        "How long a client may take to send a request, or to read the next part of its answer, in milliseconds.",
        100,
        600_000,
    )
    catalog_poll_ms: int = _number(
        1000,
        "How often the server is asked for its models' versions, in milliseconds; with over 250 models, a second for each 250.",
        50,
        60_000,
    )
    batch_max_rows: int = _number(
        64, "The largest batch that waiting requests are joined into, in rows; 0: requests are never joined.", 0, 65_536
    )
    batch_max_in_flight: int = _number(
        4, "Batches of one kind that one worker has in flight at a time; only full ones join one that is in flight.", 1, 64
    )
    batch_max_queued_rows: int = _number(
        4096, "Rows that may wait for a batch in one worker; above that 503 at once.", 1, 10_000_000
    )
    batch_proofs: int = _number(
        8,
        "How many shared calls must have given the answers of lone calls before requests for a version's signature are joined; "
        "0: they are joined without proof.",
        0,
        10_000,
    )
    batch_sample_every: int = _number(
        1000, "One shared call in so many is compared again after it was answered; 0: none is.", 0, 1_000_000_000
    )
    batch_off: tuple[str, ...] = _setting(
        fields.Function(deserialize=_patterns, load_default=()),
        "Models that are never joined, by name or pattern: `found,experimental-*`.",
        "names of models or patterns with * ? [], with commas between them",
    )
    cache: tuple[CachedModel, ...] = _setting(
        fields.Function(deserialize=cached_models, load_default=()),
        "The models whose answers are kept, how many and for how long: `digits:1000:60s,dense:500:2.5s`. Empty: none.",
        cache_setting.EXPECTED,
    )
    cache_max_bytes: int = _number(
        67_108_864, "What the kept answers of all models may take in one worker, in bytes.", 65_536, 2**40
    )
    drain_delay_ms: int = _number(
        0, "After SIGTERM, how long `/readyz` says 503 while requests are still taken, in milliseconds.", 0, 600_000
    )
    graceful_timeout_s: int = _number(30, "After SIGTERM, how long requests in flight may take to end, in seconds.", 1, 3600)
    keys_file: Path | None = _path(
        "The key file, which `python -m gateway keys` writes. As soon as it is set, requests need a key. Empty: they need none."
    )
    metrics_key: Literal["on", "off"] = _choice(
        "off", ("on", "off"), "`on`: `/metrics` needs a key with the scope `metrics`, where there are keys."
    )
    address_limits: str = _parsed(
        _checked_limits, "", "What an address without a key may ask for, such as `600/min;burst=50`. Empty: no limit.", "limits"
    )
    trusted_proxies: tuple[Network, ...] = _parsed(
        parse_proxies,
        (),
        "The networks whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed, such as `10.0.0.0/8`. Empty: none.",
        "networks such as 10.0.0.0/8, ::1",
    )
    redis_url: str = _text(
        "",
        "The Redis over which several gateways share their limits, such as `redis://redis:6379/0`. Empty: each has its own.",
        "a URL such as redis://host:6379/0",
        _REDIS,
    )
    cors_origins: tuple[str, ...] = _parsed(
        _origins,
        (),
        "Pages of these origins may read every answer: `https://app.example`, or `*` for all. Empty: none.",
        "origins",
    )
    prediction_log: str = _text(
        "off",
        "Where predictions are logged: `sqlite:///file`, `postgresql://user:password@host/database`, `file:///folder`, or "
        "`off`. When it is not set, `DATABASE_URL` counts.",
        "a URL, or off",
    )
    prediction_log_sample: ByModel[float] = _parsed(
        parse_rates, ByModel(1.0), "The part of the answers that is logged, also by model: `0.1,digits:1`.", "rates from 0 to 1"
    )
    prediction_log_sample_errors: ByModel[float] = _parsed(
        parse_rates, ByModel(1.0), "The part of the errors that is logged, in the same way.", "rates from 0 to 1"
    )
    prediction_log_values: ByModel[Values] = _parsed(
        parse_values,
        ByModel("small"),
        "Which tensors are logged whole: `small` (to 64 elements), `none` or `all`, also by model. Of others a summary is.",
        "small, none or all",
    )
    prediction_log_keep: int | None = _parsed(
        parse_age, None, "How long rows are kept, such as `30d`. Empty: for ever.", "an age"
    )
    prediction_log_queue_bytes: int = _number(
        33_554_432, "What may wait to be logged in one worker, in bytes; above it rows are dropped.", 65_536, 2**40
    )
    state_dir: Path | None = _setting(
        fields.Function(deserialize=_folder, load_default=None),
        "The folder of the gateway's own state, which the `rollout` commands read and write too: `state.db`, the plans of "
        "rollouts and their history, and `rollout_pins.json`, where requests go at a start without the database. If "
        "`DATABASE_URL` is one of SQLite or PostgreSQL, the plans are there instead, and every gateway with that address "
        "follows them. Without both there are no rollouts.",
        "the path of a folder, without ?",
    )
    traces_file: Path | None = _path(
        "The file that traces are written to, as lines of OTLP in JSON. Empty: they go to `OTEL_EXPORTER_OTLP_ENDPOINT`."
    )
    traces_slow_ms: int = _number(
        1000,
        "Requests that take so long are traced whatever the sampler says, as errors from 500 on are, in milliseconds; 0: no.",
        0,
        3_600_000,
    )
    metrics_exemplars: Literal["on", "off"] = _choice(
        "off",
        ("on", "off"),
        "`on`: `/metrics` in OpenMetrics names the newest trace in each bucket of `gateway_request_seconds`. Needs traces.",
    )
    log_level: str = _choice(
        "INFO",
        ("DEBUG", "INFO", "WARNING", "ERROR"),
        "Log events from this level up: `DEBUG`, `INFO`, `WARNING` or `ERROR`.",
    )
    non_finite: Literal["tokens", "null", "error"] = _choice(
        "tokens",
        ("tokens", "null", "error"),
        "NaN and infinities in answers under `/v1/`: `tokens` (bare, as TensorFlow Serving), `null`, or `error` (400 instead).",
    )
    tfserving_cors: Literal["on", "off"] = _choice(
        "off",
        ("on", "off"),
        "`on`: pages of any origin may read answers under `/v1/` (TensorFlow Serving's `--rest_api_enable_cors_support`).",
    )
    console: Literal["on", "off"] = _choice(
        "on",
        ("on", "off"),
        "`on`: `/console/` is a page for a browser, which shows what the caller's key allows. `off`: there is none.",
    )
    container_contract: Platform = _choice(
        "off",
        ("off", "sagemaker", "vertex"),
        "The platform whose container this is: `sagemaker` adds `GET /ping` and `POST /invocations`, `vertex` the routes of "
        "`AIP_HEALTH_ROUTE` and `AIP_PREDICT_ROUTE`. `SAGEMAKER_BIND_TO_PORT` or `AIP_HTTP_PORT`, if set, is the port.",
    )
    otel: Standard = dataclasses.field(default=_STANDARD, kw_only=True)
    contract: ContainerContract | None = dataclasses.field(default=None, kw_only=True)
    database_url: str = dataclasses.field(default="", kw_only=True, repr=False)
    given: Mapping[str, str] = dataclasses.field(default_factory=dict, kw_only=True, repr=False, compare=False)

    def state_database(self) -> str | None:
        """The address of the SQL database that holds the gateway's own state; None if there is none.

        What is in ``DATABASE_URL`` comes first, so that several gateways can share it.
        """
        if is_sql(self.database_url):
            return self.database_url
        return None if self.state_dir is None else f"sqlite:///{self.state_dir.absolute() / _STATE_FILE}"

    def serving_tls(self) -> ServingTls | None:
        """The files for TLS to the model server; None for plain connections."""
        return serving_tls(self.serving_tls_ca, self.serving_tls_cert, self.serving_tls_key, self.serving_tls_name)


_SECRET: Final = ("redis_url", "prediction_log")
"""Settings that may hold a password: no message repeats them."""

_FIELDS: Final = {field.name: field for field in dataclasses.fields(Settings) if field.metadata}
_SCHEMA: Final = Schema.from_dict({name: field.metadata["field"] for name, field in _FIELDS.items()})()


class SettingRow(NamedTuple):
    """One setting as it is documented: its variable, the default as text, and its meaning in Markdown."""

    variable: str
    default: str
    meaning: str


def setting_rows() -> tuple[SettingRow, ...]:
    """Every setting, in the order in which they are documented."""
    return tuple(
        SettingRow(_variable(name), _default(field.metadata["field"]), field.metadata["meaning"])
        for name, field in _FIELDS.items()
    )


def settings_from_environment(environ: Mapping[str, str]) -> Settings:
    """The settings that ``environ`` makes; an empty value counts as not given.

    Raises:
        SettingsError: a value is bad, or a ``GATEWAY_*`` name is unknown or was removed.
    """
    own = {name: value for name, value in environ.items() if name.startswith(PREFIX) and name not in _OF_CLIENTS and value}
    given = {_key(name): value for name, value in own.items()}
    if environ.get(_DATABASE):
        given.setdefault("prediction_log", environ[_DATABASE])
    try:
        contract = read_contract(given.get("container_contract", ""), environ)
        if contract is not None and contract.port is not None:
            given["port"] = str(contract.port)
        settings = Settings(
            **_SCHEMA.load(given),
            otel=read_standard(environ),
            contract=contract,
            database_url=environ.get(_DATABASE, ""),
            given=_texts(environ) | {_variable(key): text for key, text in given.items()},
        )
    except ValidationError as error:
        raise SettingsError("\n".join(_problem(key, given[key], why) for key, why in error.messages_dict.items())) from error
    except ValueError as error:  # of OpenTelemetry's variables or a platform's, in our words
        raise SettingsError(str(error)) from error
    if (settings.tls_cert is None) != (settings.tls_key is None):
        names = "GATEWAY_TLS_CERT", "GATEWAY_TLS_KEY"
        missing, given_one = names if settings.tls_cert is None else names[::-1]
        raise SettingsError(f"{missing}: expected the path of a file, because {given_one} is given")
    try:
        settings.serving_tls()
    except ValueError as error:
        raise SettingsError(str(error)) from error
    return settings


def _texts(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that decide settings and whose names are those of others."""
    return {name: text for name, text in environ.items() if text and (name == _DATABASE or name.startswith(_STANDARD_PREFIX))}


def _problem(key: str, value: str, why: list[str]) -> str:
    if key in _FIELDS:
        metadata = _FIELDS[key].metadata
        shown = "" if key in _SECRET else f"={value!r}"
        reason = "; ".join(why) if key == "cache" or "says_why" in metadata else ""
        if reason.startswith("expected "):
            return f"{_variable(key)}{shown}: {reason}"
        return f"{_variable(key)}{shown}: expected {metadata['expected']}{f' ({reason})' if reason else ''}"
    if key in _REMOVED:
        return f"{_variable(key)}: this setting does nothing any more, remove it: {_REMOVED[key]}"
    variable = _variable(key) if key == key.lower() else PREFIX + key
    nearest = difflib.get_close_matches(key.lower(), list(_FIELDS), n=1)
    return f"{variable}: there is no such setting" + (f"; did you mean {_variable(nearest[0])}?" if nearest else "")


def _default(field: fields.Field[Any]) -> str:
    default = field.load_default
    if isinstance(default, ByModel):
        default = default.default
    return str(default) if default not in (None, ()) else ""


def _key(variable: str) -> str:
    """The field that a variable sets; what is not in capitals sets none, and is left as it is."""
    name = variable.removeprefix(PREFIX)
    return name.lower() if name == name.upper() else name


def _variable(name: str) -> str:
    return PREFIX + name.upper()
