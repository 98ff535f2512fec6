import logging
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.util.re import parse_env_headers

from gateway.settings import SettingsError, settings_from_environment
from gateway.telemetry.traceparent import Parent
from gateway.tracing.sampler import Sampler
from gateway.tracing.standard import Standard, read_standard

BASE = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
RATIO = {"OTEL_TRACES_SAMPLER_ARG": "0.25"}


def test_there_are_no_traces_without_an_endpoint():
    assert read_standard({"OTEL_SERVICE_NAME": "x"}) == Standard("", Sampler(1.0, True))


@pytest.mark.parametrize(
    ("environ", "endpoint"),
    [
        (BASE, "http://collector:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318/"}, "http://collector:4318/v1/traces"),
        (BASE | {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://other/at/all"}, "https://other/at/all"),
        (BASE | {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "OTEL_TRACES_EXPORTER": "otlp"}, "http://collector:4318/v1/traces"),
        (BASE | {"OTEL_TRACES_EXPORTER": "none"}, ""),
        (BASE | {"OTEL_SDK_DISABLED": "TRUE"}, ""),
    ],
)  # fmt: skip
def test_the_endpoint_is_that_of_traces_or_that_of_all_signals(environ, endpoint):
    assert read_standard(environ).endpoint == endpoint


@pytest.mark.parametrize(
    ("name", "sampler"),
    [
        ("always_on", Sampler(1.0, False)),
        ("always_off", Sampler(0.0, False)),
        ("traceidratio", Sampler(0.25, False)),
        ("parentbased_always_on", Sampler(1.0, True)),
        ("parentbased_always_off", Sampler(0.0, True)),
        ("parentbased_traceidratio", Sampler(0.25, True)),
    ],
)
def test_every_standard_sampler_is_known(name, sampler):
    assert read_standard(BASE | RATIO | {"OTEL_TRACES_SAMPLER": name}).sampler == sampler


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "grpc://collector:4317"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://[collector"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "/v1/traces"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "hidden"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=b,authorization: hidden"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
    ],
)
def test_a_bad_value_stops_the_start_and_names_its_variable(variable, value):
    with pytest.raises(SettingsError, match=rf"\A{variable}(=.*)?: expected [^\n]+\Z") as caught:
        settings_from_environment(BASE | {variable: value})
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("ratio", ["1.1", "-0.1", "half", "nan"])
def test_a_ratio_is_a_number_from_0_to_1(ratio):
    with pytest.raises(SettingsError, match=r"OTEL_TRACES_SAMPLER_ARG=.*: expected a number from 0 to 1"):
        settings_from_environment(BASE | {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": ratio})


def test_a_password_in_the_endpoint_is_not_repeated():
    with pytest.raises(SettingsError) as caught:
        settings_from_environment({"OTEL_EXPORTER_OTLP_ENDPOINT": "ftp://me:hidden@collector"})
    assert "hidden" not in str(caught.value)


def test_a_trace_is_sampled_by_the_low_half_of_its_id_or_as_its_parent_says():
    quarter = 1 << 62
    follows, decides = Sampler(0.25, True), Sampler(0.25, False)
    for high in (0, (1 << 64) - 1):
        below, above = (high << 64) + quarter - 1, (high << 64) + quarter
        assert [follows.is_sampled(trace_id, None) for trace_id in (below, above)] == [True, False]
        for said in (True, False):
            parent = Parent(above, 1, said)
            assert follows.is_sampled(above, parent) == said
            assert decides.is_sampled(below, parent)
            assert not decides.is_sampled(above, parent)
    assert Sampler(1.0).is_sampled((1 << 128) - 1, None)
    assert not Sampler(0.0).is_sampled(0, None)


@given(st.text(st.characters(max_codepoint=0x17F), max_size=40) | st.from_regex(r"[a-c =,;%&\\-]{0,12}", fullmatch=True))
def test_no_headers_are_taken_that_the_sdk_would_refuse_and_log(text):
    try:
        read_standard(BASE | {"OTEL_EXPORTER_OTLP_HEADERS": text})
    except ValueError:
        return
    with catch_warnings_of("opentelemetry.util.re") as refused:
        parse_env_headers(text, liberal=True)
    assert refused == []


@pytest.mark.parametrize("text", ["", "a=b", " a = Bearer x , x-b=%20c,", "authorization=Basic%20YTpi", "key=YQ=="])
def test_headers_that_the_sdk_takes_are_taken(text):
    assert read_standard(BASE | {"OTEL_EXPORTER_OTLP_HEADERS": text}).endpoint


@contextmanager
def catch_warnings_of(name):
    """The messages that a logger writes meanwhile."""
    messages = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    logging.getLogger(name).addHandler(handler)
    try:
        yield messages
    finally:
        logging.getLogger(name).removeHandler(handler)
