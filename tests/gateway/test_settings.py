"""Settings come from the environment, whole and valid, or the start stops with the reason."""

import re
from pathlib import Path

import pytest

from gateway.cache_setting import CachedModel
from gateway.prediction_log.rules import ByModel
from gateway.settings import SettingsError, setting_rows, settings_from_environment

# A value that each setting refuses; what takes any text has none.
BAD = {
    "GATEWAY_PORT": ["0", "65536", "-1", "8080.5", "http"],
    "GATEWAY_WORKERS": ["-1", "two"],
    "GATEWAY_MAX_IN_FLIGHT": ["0"],
    "GATEWAY_MODEL_MAX_IN_FLIGHT": ["0", "1025"],
    "GATEWAY_SERVING_TLS_NAME": ["a name", "serving/x"],
    "GATEWAY_SERVING_TARGET": [
        "serving",
        "host:",
        ":8500",
        "host:port",
        "http://serving:8500",
        "dns:///",
        "a:1,",
        "a:1,xds:///b",
    ],
    "GATEWAY_BALANCING": ["random", "pick_first"],
    "GATEWAY_PREDICT_TIMEOUT_MS": ["0", "2s"],
    "GATEWAY_MAX_BODY_BYTES": ["0", "64MiB"],
    "GATEWAY_READ_TIMEOUT_MS": ["99"],
    "GATEWAY_CATALOG_POLL_MS": ["49"],
    "GATEWAY_BATCH_MAX_ROWS": ["-1"],
    "GATEWAY_BATCH_MAX_IN_FLIGHT": ["0"],
    "GATEWAY_BATCH_MAX_QUEUED_ROWS": ["0"],
    "GATEWAY_BATCH_PROOFS": ["-1", "all"],
    "GATEWAY_BATCH_SAMPLE_EVERY": ["-1", "0.001"],
    "GATEWAY_BATCH_OFF": [",", "a,,b", "a b", "a:b", "a/b"],
    "GATEWAY_CACHE": [
        "m",
        "m:10",
        "m:10:60",
        "m:ten:60s",
        "m:0:60s",
        "m:10:0s",
        "m:-1:60s",
        "m:10:604801s",
        "m:10000001:60s",
        ":10:60s",
        "a b:10:60s",
        "m:10:60s,",
        "m:10:60s n:10:60s",
        "m:10:60s,m:20:5s",
        "m:10:60ms",
        "m:10:infs",
    ],
    "GATEWAY_CACHE_MAX_BYTES": ["65535", "64MiB"],
    "GATEWAY_DRAIN_DELAY_MS": ["-1"],
    "GATEWAY_GRACEFUL_TIMEOUT_S": ["0"],
    "GATEWAY_METRICS_KEY": ["true", "yes"],
    "GATEWAY_ADDRESS_LIMITS": ["600", "600/fortnight", "0/min", "600/min;burst=0", "parallel=none"],
    "GATEWAY_TRUSTED_PROXIES": ["proxy", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/8;::1"],
    "GATEWAY_CORS_ORIGINS": [
        "app.example",
        "https://app.example/",
        "https://App.example",
        "https://a b",
        "https://a,,https://b",
    ],
    "GATEWAY_REDIS_URL": ["redis", "http://:hidden@redis", "redis://"],
    "GATEWAY_PREDICTION_LOG_SAMPLE": ["1.1", "-0.1", "some", "0.1,digits", "0.1,digits:2"],
    "GATEWAY_PREDICTION_LOG_SAMPLE_ERRORS": ["1.1", "nan"],
    "GATEWAY_PREDICTION_LOG_VALUES": ["large", "none,digits:some"],
    "GATEWAY_PREDICTION_LOG_KEEP": ["30", "d", "30 days", "0d"],
    "GATEWAY_PREDICTION_LOG_QUEUE_BYTES": ["65535", "32MiB"],
    "GATEWAY_STATE_DIR": ["/state?", "a?b"],
    "GATEWAY_TRACES_SLOW_MS": ["-1", "1s"],
    "GATEWAY_METRICS_EXEMPLARS": ["true", "1"],
    "GATEWAY_LOG_LEVEL": ["info", "LOUD"],
    "GATEWAY_NON_FINITE": ["nan", "Null"],
    "GATEWAY_TFSERVING_CORS": ["true", "*"],
    "GATEWAY_CONSOLE": ["true", "On"],
    "GATEWAY_CONTAINER_CONTRACT": ["on", "SageMaker", "azure"],
}
ANY_TEXT = {
    *("GATEWAY_HOST", "GATEWAY_MODEL_CONFIG_FILE", "GATEWAY_PREDICT_MODEL", "GATEWAY_TLS_CERT", "GATEWAY_TLS_KEY"),
    *("GATEWAY_SERVING_TLS_CA", "GATEWAY_SERVING_TLS_CERT", "GATEWAY_SERVING_TLS_KEY"),
    *("GATEWAY_KEYS_FILE", "GATEWAY_PREDICTION_LOG", "GATEWAY_TRACES_FILE"),
}
MAY_HOLD_A_PASSWORD = {"GATEWAY_REDIS_URL", "GATEWAY_PREDICTION_LOG"}


def test_an_empty_environment_gives_the_documented_defaults():
    settings = settings_from_environment({"PATH": "/bin"})
    for row in setting_rows():
        value = getattr(settings, row.variable.removeprefix("GATEWAY_").lower())
        value = value.default if isinstance(value, ByModel) else value
        assert (not value and row.default == "") or str(value) == row.default


def test_every_setting_is_read_from_its_variable():
    environ = {
        "GATEWAY_HOST": "0.0.0.0",
        "GATEWAY_PORT": "1",
        "GATEWAY_WORKERS": "3",
        "GATEWAY_TLS_CERT": "/tls/cert.pem",
        "GATEWAY_TLS_KEY": "/tls/key.pem",
        "GATEWAY_MODEL_MAX_IN_FLIGHT": "8",
        "GATEWAY_MAX_IN_FLIGHT": "77",
        "GATEWAY_SERVING_TARGET": "dns:///serving:8500",
        "GATEWAY_BALANCING": "least_loaded",
        "GATEWAY_SERVING_TLS_CA": "/tls/ca.pem",
        "GATEWAY_SERVING_TLS_CERT": "/tls/client.pem",
        "GATEWAY_SERVING_TLS_KEY": "/tls/client.key",
        "GATEWAY_SERVING_TLS_NAME": "serving",
        "GATEWAY_MODEL_CONFIG_FILE": "/a/b",
        "GATEWAY_PREDICT_MODEL": "m",
        "GATEWAY_PREDICT_TIMEOUT_MS": "5",
        "GATEWAY_MAX_BODY_BYTES": "6",
        "GATEWAY_READ_TIMEOUT_MS": "700",
        "GATEWAY_CATALOG_POLL_MS": "70",
        "GATEWAY_BATCH_MAX_ROWS": "16",
        "GATEWAY_BATCH_MAX_IN_FLIGHT": "2",
        "GATEWAY_BATCH_MAX_QUEUED_ROWS": "99",
        "GATEWAY_BATCH_PROOFS": "3",
        "GATEWAY_BATCH_SAMPLE_EVERY": "50",
        "GATEWAY_BATCH_OFF": "found, experimental-*",
        "GATEWAY_CACHE": "m:10:60s",
        "GATEWAY_CACHE_MAX_BYTES": "70000",
        "GATEWAY_DRAIN_DELAY_MS": "8",
        "GATEWAY_GRACEFUL_TIMEOUT_S": "9",
        "GATEWAY_KEYS_FILE": "/keys/keys.jsonl",
        "GATEWAY_METRICS_KEY": "on",
        "GATEWAY_ADDRESS_LIMITS": "600/min;burst=50; parallel=8",
        "GATEWAY_TRUSTED_PROXIES": "10.0.0.0/8, ::1",
        "GATEWAY_REDIS_URL": "redis://redis:6379/0",
        "GATEWAY_CORS_ORIGINS": "https://app.example, http://localhost:3000",
        "GATEWAY_PREDICTION_LOG": "sqlite:///log.db",
        "GATEWAY_PREDICTION_LOG_SAMPLE": "0.1,digits:1",
        "GATEWAY_PREDICTION_LOG_SAMPLE_ERRORS": "0.5",
        "GATEWAY_PREDICTION_LOG_VALUES": "none,digits:all",
        "GATEWAY_PREDICTION_LOG_KEEP": "30d",
        "GATEWAY_PREDICTION_LOG_QUEUE_BYTES": "70000",
        "GATEWAY_STATE_DIR": "/state",
        "GATEWAY_TRACES_FILE": "/traces.jsonl",
        "GATEWAY_TRACES_SLOW_MS": "250",
        "GATEWAY_METRICS_EXEMPLARS": "on",
        "GATEWAY_LOG_LEVEL": "DEBUG",
        "GATEWAY_NON_FINITE": "null",
        "GATEWAY_TFSERVING_CORS": "on",
        "GATEWAY_CONSOLE": "off",
        "GATEWAY_CONTAINER_CONTRACT": "sagemaker",
    }
    assert set(environ) == {row.variable for row in setting_rows()}
    settings = settings_from_environment(environ)
    assert settings.cache == (CachedModel("m", 10, 60.0),)
    assert settings.batch_off == ("found", "experimental-*")
    assert settings.cors_origins == ("https://app.example", "http://localhost:3000")
    assert [str(network) for network in settings.trusted_proxies] == ["10.0.0.0/8", "::1/128"]
    rates, of_errors, values = (getattr(settings, f"prediction_log_{name}") for name in ("sample", "sample_errors", "values"))
    assert (rates.default, rates.of("digits"), of_errors.of("digits"), values.of("dense"), values.of("digits")) == (
        *(0.1, 1.0, 0.5),
        *("none", "all"),
    )
    assert settings.prediction_log_keep == 30 * 86_400
    read_above = {"CACHE", "BATCH_OFF", "CORS_ORIGINS", "TRUSTED_PROXIES"}
    read_above |= {f"PREDICTION_LOG_{name}" for name in ("SAMPLE", "SAMPLE_ERRORS", "VALUES", "KEEP")}
    for variable in environ.keys() - {f"GATEWAY_{name}" for name in read_above}:
        text = environ[variable]
        assert str(getattr(settings, variable.removeprefix("GATEWAY_").lower())) == text
    assert settings.model_config_file == Path("/a/b")


@pytest.mark.parametrize("variable", [row.variable for row in setting_rows()])
def test_a_bad_value_is_named_with_what_was_expected(variable):
    assert (variable in BAD) != (variable in ANY_TEXT)
    for value in BAD.get(variable, []):
        with pytest.raises(SettingsError) as caught:
            settings_from_environment({variable: value})
        shown = "" if variable in MAY_HOLD_A_PASSWORD else f"={value!r}"
        assert str(caught.value).startswith(f"{variable}{shown}: expected ")
        assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "log"),
    [
        ({"DATABASE_URL": "postgresql://a/b"}, "postgresql://a/b"),
        ({"DATABASE_URL": "postgresql://a/b", "GATEWAY_PREDICTION_LOG": "off"}, "off"),
        ({"DATABASE_URL": "postgresql://a/b", "GATEWAY_PREDICTION_LOG": "sqlite:///c"}, "sqlite:///c"),
        ({"DATABASE_URL": ""}, "off"),
    ],
)
def test_the_prediction_log_is_where_its_setting_says_or_else_in_the_database_of_the_environment(given, log):
    assert settings_from_environment(given).prediction_log == log


@pytest.mark.parametrize(
    ("given", "database"),
    [
        ({}, None),
        ({"GATEWAY_STATE_DIR": "/state"}, "sqlite:////state/state.db"),
        ({"GATEWAY_STATE_DIR": "state"}, f"sqlite:///{Path.cwd()}/state/state.db"),
        ({"DATABASE_URL": "postgresql://a/b"}, "postgresql://a/b"),
        ({"DATABASE_URL": "postgresql://a/b", "GATEWAY_STATE_DIR": "/state"}, "postgresql://a/b"),
        ({"DATABASE_URL": "file:///folder", "GATEWAY_STATE_DIR": "/state"}, "sqlite:////state/state.db"),
        ({"DATABASE_URL": "file:///folder"}, None),
        ({"DATABASE_URL": "off"}, None),
        ({"DATABASE_URL": "mysql://a/b", "GATEWAY_STATE_DIR": "/state"}, "sqlite:////state/state.db"),
    ],
)
def test_the_state_is_in_the_database_of_the_environment_or_else_in_a_file_of_its_folder(given, database):
    assert settings_from_environment(given).state_database() == database


def test_no_password_of_the_database_is_shown_with_the_settings():
    assert "hidden" not in repr(
        settings_from_environment({"DATABASE_URL": "postgresql://a:hidden@b/c", "GATEWAY_PREDICTION_LOG": "off"})
    )


def test_several_models_are_cached_in_the_order_in_which_they_are_named():
    models = settings_from_environment({"GATEWAY_CACHE": "digits:1000:60s, a=b.c:1:0.5s"}).cache
    assert models == (CachedModel("digits", 1000, 60.0), CachedModel("a=b.c", 1, 0.5))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("m:10:60s,m:20:5s", "named twice: m"),
        ("m:10:60s,n:10:60", "'n:10:60' is not understood"),
        ("m:0:60s", "'m:0:60s': from 1 to 10000000 entries"),
        ("m:1:0s", "'m:1:0s': more than 0 and at most 604800 seconds"),
    ],
)
def test_a_bad_cache_is_told_which_of_its_models_is_bad(text, told):
    with pytest.raises(SettingsError) as caught:
        settings_from_environment({"GATEWAY_CACHE": text})
    assert str(caught.value).endswith(f"such as digits:1000:60s,dense:500:2.5s ({told})")


@pytest.mark.parametrize(
    "target", ["127.0.0.1:8500", "serving:8500", "[::1]:8500", "dns:///serving:8500", "unix:/run/serving.sock", "a:1,b:2"]
)
def test_every_form_of_target_that_grpc_knows_is_taken(target):
    assert settings_from_environment({"GATEWAY_SERVING_TARGET": target}).serving_target == target


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        *[("GATEWAY_SERVING_TARGET", target) for target in ("serving:0", "serving:65536", "serving:99999", "[::1]:70000")],
        *[("GATEWAY_PORT", port) for port in ("1_9081", " 19081", "\uff11\uff19", "+80", "1e3", "0x50")],
        *[("GATEWAY_PREDICT_MODEL", name) for name in ("a/b", "a:b", "a b", "a\n")],
        *[("GATEWAY_HOST", host) for host in ("a b", "http://a", "[::1]", "a,b")],
    ],
)
def test_a_value_that_cannot_be_is_refused_at_the_start(variable, value):
    with pytest.raises(SettingsError, match=rf"^{variable}={re.escape(repr(value))}: expected "):
        settings_from_environment({variable: value})


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("GATEWAY_SERVING_TARGET", "a:1,b", "expected host:port or a gRPC target between the commas, and 'b' is none"),
        (
            "GATEWAY_SERVING_TARGET",
            "a:1,xds:///b",
            "expected 'xds:///b' alone, not in a list: gRPC itself finds the servers of such a target",
        ),
        (
            "GATEWAY_TRUSTED_PROXIES",
            "10.0.0.1/8",
            "expected networks such as 10.0.0.0/8, ::1 ('10.0.0.1/8' is an address in 10.0.0.0/8, and no network)",
        ),
        (
            "GATEWAY_ADDRESS_LIMITS",
            "many",
            "expected a limit such as '100/day' or 'parallel=8', or an option burst=, unit= or per=,"
            " with semicolons between them, got 'many'",
        ),
    ],
)
def test_what_was_expected_is_said_once(variable, value, message):
    with pytest.raises(SettingsError) as refused:
        settings_from_environment({variable: value})
    assert str(refused.value) == f"{variable}={value!r}: {message}"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "::1", "fe80::1%eth0", "localhost", "my-host.example", "my_host"])
def test_every_form_of_address_to_listen_on_is_taken(host):
    assert settings_from_environment({"GATEWAY_HOST": host}).host == host


def test_an_unknown_name_is_refused_with_the_nearest_known_one():
    with pytest.raises(SettingsError, match=r"GATEWAY_PROT: there is no such setting; did you mean GATEWAY_PORT\?"):
        settings_from_environment({"GATEWAY_PROT": "2"})


@pytest.mark.parametrize("variable", ["GATEWAY_WORKER", "GATEWAY_THREADS", "GATEWAY_BATCH_MAX_WAIT_US"])
def test_a_removed_setting_is_named_as_removed_with_what_there_is_instead(variable):
    with pytest.raises(SettingsError, match=rf"^{variable}: this setting does nothing any more, remove it: a "):
        settings_from_environment({variable: "2"})


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ("GATEWAY_TLS_CERT", "GATEWAY_TLS_KEY"),
        ("GATEWAY_TLS_KEY", "GATEWAY_TLS_CERT"),
        ("GATEWAY_SERVING_TLS_CERT", "GATEWAY_SERVING_TLS_KEY"),
        ("GATEWAY_SERVING_TLS_KEY", "GATEWAY_SERVING_TLS_CERT"),
    ],
)
def test_certificate_and_key_come_together(given, missing):
    with pytest.raises(SettingsError, match=f"^{missing}: expected the path of a file, because {given} is given$"):
        settings_from_environment({given: "/tls/file.pem"})


def test_a_name_that_is_like_none_is_refused_without_a_guess():
    with pytest.raises(SettingsError, match=r"GATEWAY_FOO: there is no such setting$"):
        settings_from_environment({"GATEWAY_FOO": "1"})


def test_a_name_in_small_letters_is_no_setting():
    with pytest.raises(SettingsError, match=r"GATEWAY_Port: there is no such setting; did you mean GATEWAY_PORT\?"):
        settings_from_environment({"GATEWAY_Port": "8080"})


def test_every_problem_is_told_at_once():
    with pytest.raises(SettingsError) as caught:
        settings_from_environment({"GATEWAY_PORT": "x", "GATEWAY_THREADS": "y", "GATEWAY_NOPE": "z"})
    assert len(str(caught.value).splitlines()) == 3


def test_an_empty_value_means_the_default():
    assert settings_from_environment({"GATEWAY_PORT": ""}).port == 8080


def test_what_programs_that_call_a_gateway_read_is_none_of_its_settings():
    """A shell may have it for all of its programs, `publish --rollout` among them."""
    environment = {"GATEWAY_URL": "http://127.0.0.1:8080", "GATEWAY_KEY": "a key"}
    assert settings_from_environment(environment) == settings_from_environment({})
