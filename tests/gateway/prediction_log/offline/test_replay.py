"""``log replay`` on a real gRPC server, whose answers the test decides."""

import grpc
import numpy as np
import pytest

from gateway.backend.prediction_logs import PredictionLog, RecordedPredict, encode_predict
from gateway.prediction_log.offline.records.tf_records import write_record
from gateway.prediction_log.offline.replay.comparison import Comparison
from tests.authority import authority
from tests.gateway.fake_serving import FakeServing, Version, serving
from tests.gateway.prediction_log.offline.reading import run
from tests.waiting import free_port


def recorded(x, y="double", model="m"):
    inputs = {"x": np.float32([[x, 1]])}
    outputs = {"y": inputs["x"] * 2} if y == "double" else y
    return encode_predict(RecordedPredict(model, 1, "serving_default", inputs, outputs))


def a_file(folder, *contents):
    path = folder / "log"
    with path.open("wb") as file:
        for content in contents:
            write_record(file, content)
    return path


@pytest.fixture
def served():
    fake = FakeServing()
    with serving(fake) as port:
        yield fake, f"127.0.0.1:{port}"


def test_requests_are_sent_again_and_equal_answers_are_exit_0(tmp_path, served):
    _, target = served
    file = a_file(tmp_path, *(recorded(float(n)) for n in range(20)))
    code, out, error = run("replay", file, "--model", "m", "--version", "1", "--compare", "--target", target)
    assert (code, error) == (0, "")
    summary, head, line = out.splitlines()[-3:]  # events of the connection may be before
    assert summary.startswith("20 requests answered by version 1: median ")
    assert head.split() == ["OUTPUT", "REQUESTS", "EQUAL", "LARGEST", "DIFFERENCE"]
    assert line.split() == ["y", "20", "20", "0"]


def test_another_version_that_answers_otherwise_is_exit_3_and_its_largest_difference_is_shown(tmp_path, served):
    fake, target = served
    fake.models["m"][2] = Version(run=lambda inputs: {"y": inputs["x"] * 2 + (inputs["x"] > 5) * np.float32(0.25)})
    file = a_file(tmp_path, *(recorded(float(n)) for n in range(10)))
    code, out, _ = run("replay", file, "--version", "2", "--compare", "--target", target)
    assert code == 3
    assert out.splitlines()[-1].split() == ["y", "10", "6", "0.25"]
    assert run("replay", file, "--version", "2", "--compare", "--tolerance", "0.1", "--target", target)[0] == 0
    assert run("replay", file, "--version", "2", "--target", target)[0] == 0
    assert run("replay", file, "--version", "1", "--compare", "--target", target)[0] == 0


def test_without_a_model_each_record_asks_its_own(tmp_path, served):
    fake, target = served
    fake.models["other"] = {5: Version()}
    file = a_file(tmp_path, recorded(1.0, model="other"), recorded(1.0, model="m"))
    code, out, _ = run("replay", file, GATEWAY_SERVING_TARGET=target)
    assert code == 0
    assert "2 requests answered by version 1, 5:" in out


def test_a_request_that_is_not_answered_is_exit_1_and_says_why(tmp_path, served):
    fake, target = served
    fake.failures.append((grpc.StatusCode.INVALID_ARGUMENT, "no such shape"))
    code, _, error = run("replay", a_file(tmp_path, recorded(1.0), recorded(2.0)), "--compare", "--target", target)
    assert code == 1
    assert error.splitlines() == [
        f"Error: 1 requests were not answered by {target}",
        "request 0: INVALID_ARGUMENT: no such shape",
    ]


def test_a_server_that_is_away_is_exit_1(tmp_path):
    target = f"127.0.0.1:{free_port()}"
    code, out, error = run("replay", a_file(tmp_path, recorded(1.0)), "--target", target, "--timeout", "2")
    assert code == 1
    assert f"not answered by {target}" in error
    assert "answered by" not in out
    assert "UNAVAILABLE: the model server cannot be reached" in error


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--target", "", "expected host:port or a gRPC target such as dns:///serving:8500, got ''"),
        ("--target", "foo", "expected host:port"),
        ("--target", "foo\udcff:1", "expected UTF-8"),
        ("--timeout", "nan", "no finite number"),
        ("--timeout", "inf", "range"),
        ("--timeout", "1e300", "range"),
        ("--tolerance", "nan", "no finite number"),
        ("--tolerance", "inf", "no finite number"),
        ("--version", "-1", "range"),
        ("--version", "99999999999999999999", "range"),
        ("--model", "x\udcff", "expected UTF-8, got 'x\\udcff'"),
    ],
)
def test_an_option_that_means_nothing_is_refused_before_anything_is_sent(tmp_path, option, value, message):
    code, out, error = run("replay", a_file(tmp_path, recorded(1.0)), option, value)
    assert (code, out) == (2, "")
    assert option in error
    assert message in error


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ([], "there is no Predict request in it"),
        ([b"\xff\xff"], "record 0: not a PredictionLog"),
        ([recorded(1.0, y=None)], "nothing to compare: no record holds a response"),
    ],
)
def test_a_file_with_nothing_to_compare_is_exit_1(tmp_path, served, contents, message):
    code, _, error = run("replay", a_file(tmp_path, *contents), "--compare", "--target", served[1])
    assert code == 1
    assert message in error
    assert "Traceback" not in error


def test_requests_of_other_kinds_are_counted(tmp_path, served):
    classify = PredictionLog()
    classify.classify_log.request.model_spec.name = "m"
    code, _, error = run("replay", a_file(tmp_path, classify.SerializeToString(), recorded(1.0)), "--target", served[1])
    assert (code, error) == (0, "left out: 1 records that are no Predict requests\n")


def compared(recorded, answered, tolerance=None):
    comparison = Comparison(tolerance)
    comparison.add(recorded, answered)
    return comparison


@pytest.mark.parametrize(
    ("one", "other", "is_equal", "largest"),
    [
        (np.float32([1, 100]), np.float32([1.0005, 100]), True, 0.0005),
        (np.float32([1, 1]), np.float32([1.0005, 1]), False, 0.0005),
        (np.float64([1]), np.float64([1 + 1e-9]), False, 1e-9),
        (np.float32([np.nan, np.inf]), np.float32([np.nan, np.inf]), True, 0),
        (np.float32([np.nan]), np.float32([1]), False, np.nan),
        (np.float32([np.inf]), np.float32([-np.inf]), False, np.inf),
        (np.array([2**63 - 1]), np.array([-(2**63)]), False, 2.0**64),
        (np.array([7]), np.array([7]), True, 0),
        (np.array([True]), np.array([False]), False, np.nan),
        (np.array([b"a"], object), np.array([b"b"], object), False, np.nan),
        (np.float32([]), np.float32([]), True, 0),
    ],
)
def test_the_largest_difference_and_whether_it_is_within_the_tolerance(one, other, is_equal, largest):
    comparison = compared({"y": one}, {"y": other})
    assert comparison.is_equal == is_equal
    assert comparison.outputs["y"].largest == pytest.approx(largest, rel=1e-3, nan_ok=True)


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        ({"y": np.zeros(1)}, {}, "not answered"),
        ({}, {"y": np.zeros(1)}, "not recorded"),
        ({"y": np.zeros(1)}, {"y": np.zeros((1, 1))}, "another shape"),
        ({"y": np.zeros(1)}, {"y": np.zeros(1, np.float32)}, "float64 became float32"),
    ],
)
def test_outputs_of_another_form_differ(one, other, reason):
    comparison = compared(one, other)
    assert not comparison.is_equal
    assert comparison.outputs["y"].reasons == {reason: 1}


def test_the_requests_go_by_tls_with_the_gateways_settings(tmp_path):
    ours, file = authority(tmp_path, "ours"), a_file(tmp_path, recorded(1.0))
    pair = ours.signed("serving")
    credentials = grpc.ssl_server_credentials([(pair.key.read_bytes(), pair.certificate.read_bytes())])
    with serving(FakeServing(), credentials=credentials) as port:
        asked = ("replay", file, "--compare", "--target", f"127.0.0.1:{port}")
        right = {"GATEWAY_SERVING_TLS_CA": str(ours.certificate), "GATEWAY_SERVING_TLS_NAME": "serving"}
        assert run(*asked, **right)[0] == 0
        assert run(*asked, "--tls-ca", ours.certificate, "--tls-name", "serving")[0] == 0
        code, _, error = run(*asked, "--tls-ca", ours.certificate, "--tls-name", "other")
        assert code == 1
        assert "the model server's certificate is for another name; GATEWAY_SERVING_TLS_NAME must be one in it" in error
        code, _, error = run(*asked, "--tls-ca", file)
        assert (code, error.splitlines()) == (
            1,
            [f"Error: GATEWAY_SERVING_TLS_CA={file}: expected a PEM file with certificates: there is none in it"],
        )
        assert "because GATEWAY_SERVING_TLS_NAME is given" in run(*asked, "--tls-name", "serving")[2]
