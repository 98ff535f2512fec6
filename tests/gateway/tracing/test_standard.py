from pathlib import Path

import pytest

from gateway.settings import SettingsError, settings_from_environment
from gateway.telemetry.traceparent import Parent
from gateway.tracing.receiver import Receiver
from gateway.tracing.sampler import Sampler
from gateway.tracing.standard import Standard, read_standard

BASE = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
RATIO = {"OTEL_TRACES_SAMPLER_ARG": "0.25"}


def test_there_are_no_traces_without_an_endpoint():
    assert read_standard({"OTEL_SERVICE_NAME": "x"}) == Standard(None, Sampler(1.0, True))


@pytest.mark.parametrize(
    ("environ", "endpoint"),
    [
        (BASE, "http://collector:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318/"}, "http://collector:4318/v1/traces"),
        (BASE | {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://other/at/all"}, "https://other/at/all"),
        (BASE | {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "OTEL_TRACES_EXPORTER": "otlp"}, "http://collector:4318/v1/traces"),
    ],
)  # fmt: skip
def test_the_endpoint_is_that_of_traces_or_that_of_all_signals(environ, endpoint):
    assert read_standard(environ).receiver.endpoint == endpoint


@pytest.mark.parametrize("environ", [{"OTEL_TRACES_EXPORTER": "none"}, {"OTEL_SDK_DISABLED": "TRUE"}])
def test_there_are_no_traces_when_opentelemetry_is_switched_off(environ):
    assert read_standard(BASE | environ | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}).receiver is None


def test_the_variables_for_traces_go_before_those_for_all_signals(tmp_path):
    files = {name: str(tmp_path / name) for name in ("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY")}
    for path in files.values():
        Path(path).touch()
    of_all = {"HEADERS": "x-tenant=all", "TIMEOUT": "10", "COMPRESSION": "gzip", **files}
    environ = BASE | {f"OTEL_EXPORTER_OTLP_{name}": value for name, value in of_all.items()}
    endpoint = "http://collector:4318/v1/traces"
    assert read_standard(BASE).receiver == Receiver(endpoint, (), "", "", "", 10.0, False)
    assert read_standard(environ).receiver == Receiver(endpoint, (("x-tenant", "all"),), *files.values(), 0.01, True)
    of_traces = {"HEADERS": "X-Tenant=one", "TIMEOUT": "2500", "COMPRESSION": "none"}
    of_traces |= dict(zip(files, reversed(files.values()), strict=True))
    environ |= {f"OTEL_EXPORTER_OTLP_TRACES_{name}": value for name, value in of_traces.items()}
    receiver = read_standard(environ).receiver
    assert receiver == Receiver(endpoint, (("x-tenant", "one"),), *reversed(files.values()), 2.5, False)


@pytest.mark.parametrize(
    ("text", "headers"),
    [
        ("a=1,B-c=2", (("a", "1"), ("b-c", "2"))),
        (" a = 1 ,, b=%20x%2Cy%3D ", (("a", "1"), ("b", " x,y="))),
        ("authorization=Basic dTpw==", (("authorization", "Basic dTpw=="),)),
        ("a=", (("a", ""),)),
    ],
)
def test_headers_are_percent_encoded_and_apart_by_commas(text, headers):
    assert read_standard(BASE | {"OTEL_EXPORTER_OTLP_HEADERS": text}).receiver.headers == headers


@pytest.mark.parametrize("text", ["hidden", "=hidden", "a b=hidden", "a=hidden%0d%0ab", "a=hidden%C3%A4"])
def test_what_is_no_header_stops_the_start_without_its_value(text):
    with pytest.raises(SettingsError, match=r"\AOTEL_EXPORTER_OTLP_HEADERS: expected name=value,name=value") as caught:
        settings_from_environment(BASE | {"OTEL_EXPORTER_OTLP_HEADERS": text})
    assert "hidden" not in str(caught.value)


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
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "deflate"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "10s"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", __file__),
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
