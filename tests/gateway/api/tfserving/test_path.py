"""The URLs of TensorFlow Serving's REST port."""

import pytest

from gateway.api.tfserving.path import ModelPath, parse_path
from gateway.errors import InvalidArgument
from gateway.inference.signature import ModelRef


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/v1/models/m", ModelPath(ModelRef("m"))),
        ("GET", "/v1/models/m/versions/12", ModelPath(ModelRef("m", version=12))),
        ("GET", "/v1/models/m/versions/0012", ModelPath(ModelRef("m", version=12))),
        ("GET", "/v1/models/m/labels/stable", ModelPath(ModelRef("m", label="stable"))),
        ("GET", "/v1/models/m/metadata", ModelPath(ModelRef("m"), subresource="metadata")),
        ("GET", "/v1/models/m/versions/3/metadata", ModelPath(ModelRef("m", version=3), subresource="metadata")),
        ("GET", "/v1/models/metadata", ModelPath(ModelRef("metadata"))),
        ("GET", "/v1/models/m/METADATA", ModelPath(ModelRef("m"), subresource="METADATA")),
        ("GET", "/V1/Models/m", ModelPath(ModelRef("m"))),
        ("GET", "/v1/models", ModelPath(ModelRef(""))),
        ("POST", "/v1/models/m:PREDICT", ModelPath(ModelRef("m"), verb="PREDICT")),
        ("POST", "/v1/models/m:predict", ModelPath(ModelRef("m"), verb="predict")),
        (
            "POST",
            "/v1/models/m/versions/9223372036854775807:predict",
            ModelPath(ModelRef("m", version=2**63 - 1), verb="predict"),
        ),
        ("POST", "/v1/models/m/labels/a%2Fb%3Ac:predict", ModelPath(ModelRef("m", label="a/b:c"), verb="predict")),
        ("POST", "/v1/models/a%2Fb%3A%20c:regress", ModelPath(ModelRef("a/b: c"), verb="regress")),
        ("POST", "/v1/models/a+b:classify", ModelPath(ModelRef("a+b"), verb="classify")),
    ],
)
def test_a_path_names_a_model_and_what_is_asked_of_it(method, path, expected):
    assert parse_path(method, path) == expected


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models/"),
        ("GET", "/v1/models/m/"),
        ("GET", "/v1/models/m:predict"),
        ("POST", "/v1/models/m"),
        ("POST", "/v1/models/m/metadata"),
        ("POST", "/v1/models"),
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
        parse_path(method, path)
    assert caught.value.message.partition("\n")[0] == f"Malformed request: {method} {path}"


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_wrong_method_of_feedback_is_told_the_right_one(method):
    with pytest.raises(InvalidArgument, match=r"\n/v1/feedback takes POST$"):
        parse_path(method, "/v1/feedback")


@pytest.mark.parametrize("digits", ["9223372036854775808", "18446744073709551615", "9" * 5000])
def test_a_version_beyond_int64_is_refused_briefly(digits):
    with pytest.raises(InvalidArgument, match="Failed to convert version") as caught:
        parse_path("POST", f"/v1/models/m/versions/{digits}:predict")
    assert len(caught.value.message) < 200


def test_percent_escapes_that_are_no_utf8_are_refused():
    with pytest.raises(InvalidArgument, match="UTF-8"):
        parse_path("GET", "/v1/models/%FF")
