"""Random bodies through the whole application: an answer in the dialect's JSON, never a failure of ours."""

import gzip
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.backend.stubs import DataType
from tests.gateway.fake_serving import Version, signature

TEXTS = signature({"x": (DataType.DT_STRING, [-1])}, {"x_bytes": (DataType.DT_STRING, [-1])})
KEYS = st.sampled_from(["instances", "inputs", "examples", "context", "signature_name", "x", "b64", "y"]) | st.text(max_size=3)
SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=4)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
BODIES = st.binary(max_size=40) | st.dictionaries(KEYS, VALUES, max_size=4).map(lambda document: json.dumps(document).encode())


def spoilt(body: bytes, place: int, byte: int) -> bytes:
    """``body`` with one byte replaced, so that JSON breaks everywhere and strings stop being text."""
    place %= len(body) + 1
    return body[:place] + bytes([byte]) + body[place + 1 :]


@pytest.fixture
def two_models(client):
    client.fake.models["texts"] = {1: Version(lambda inputs: {"x_bytes": inputs["x"]}, {"serving_default": TEXTS})}
    return client


@pytest.mark.parametrize("verb", ["predict", "classify", "regress"])
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES | st.builds(spoilt, BODIES, st.integers(0), st.integers(0, 255)), packed=st.booleans(), data=st.data())
def test_any_body_is_answered_or_refused(two_models, verb, body, packed, data):
    model = data.draw(st.sampled_from(["m", "texts"]))
    sent = gzip.compress(body) if packed else body
    response = two_models.post(f"/v1/models/{model}:{verb}", sent, headers={"Content-Encoding": "gzip"} if packed else {})
    assert response.status_code in (200, 400, 501), response.data
    document = json.loads(response.data)
    assert list(document) == ["error"] or response.status_code == 200
