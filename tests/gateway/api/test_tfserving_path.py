"""The URLs of TensorFlow Serving's REST port."""

import pytest

from gateway.api.tfserving_path import ModelPath, parse
from gateway.errors import InvalidArgument
from gateway.inference.signature import ModelRef


@pytest.mark.parametrize(
    ("method", "path", "model", "action"),
    [
        ("GET", "/v1/models/m", ModelRef("m"), "status"),
        ("GET", "/v1/models/m/versions/12", ModelRef("m", version=12), "status"),
        ("GET", "/v1/models/m/versions/0012", ModelRef("m", version=12), "status"),
        ("GET", "/v1/models/m/labels/stable", ModelRef("m", label="stable"), "status"),
        ("GET", "/v1/models/m/metadata", ModelRef("m"), "metadata"),
        ("GET", "/v1/models/m/versions/3/metadata", ModelRef("m", version=3), "metadata"),
        ("GET", "/v1/models/metadata", ModelRef("metadata"), "status"),
        ("GET", "/v1/models/m/METADATA", ModelRef("m"), "status"),
        ("GET", "/V1/Models/m", ModelRef("m"), "status"),
        ("POST", "/v1/models/m:predict", ModelRef("m"), "predict"),
        ("POST", "/v1/models/m/versions/9223372036854775807:predict", ModelRef("m", version=2**63 - 1), "predict"),
        ("POST", "/v1/models/m/labels/a%2Fb%3Ac:predict", ModelRef("m", label="a/b:c"), "predict"),
        ("POST", "/v1/models/a%2Fb%3A%20c:regress", ModelRef("a/b: c"), "regress"),
        ("POST", "/v1/models/a+b:classify", ModelRef("a+b"), "classify"),
    ],
)
def test_a_path_names_a_model_and_an_action(method, path, model, action):
    assert parse(method, path) == ModelPath(model, action)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models"),
        ("GET", "/v1/models/"),
        ("GET", "/v1/models/m/"),
        ("GET", "/v1/models/m:predict"),
        ("POST", "/v1/models/m"),
        ("POST", "/v1/models/m/metadata"),
        ("POST", "/v1/models/m:PREDICT"),
        ("POST", "/v1/models/m:explain"),
        ("POST", "/v1/models/m/version/5:predict"),
        ("POST", "/v1/models/m/versions/x:predict"),
        ("POST", "/v1/models/m/versions/-1:predict"),
        ("POST", "/v1/models/m/versions/5/labels/a:predict"),
        ("POST", "/v1/models/m/versions/\u0665:predict"),
        ("PUT", "/v1/models/m"),
        ("DELETE", "/v1/models/m"),
        ("HEAD", "/v1/models/m"),
        ("GET", "/v1/other"),
    ],
)
def test_anything_else_is_malformed(method, path):
    with pytest.raises(InvalidArgument) as caught:
        parse(method, path)
    assert caught.value.message == f"Malformed request: {method} {path}"


@pytest.mark.parametrize("digits", ["9223372036854775808", "18446744073709551615", "9" * 5000])
def test_a_version_beyond_int64_is_refused_briefly(digits):
    with pytest.raises(InvalidArgument, match="Failed to convert version") as caught:
        parse("POST", f"/v1/models/m/versions/{digits}:predict")
    assert len(caught.value.message) < 200


def test_percent_escapes_that_are_no_utf8_are_refused():
    with pytest.raises(InvalidArgument, match="UTF-8"):
        parse("GET", "/v1/models/%FF")
