"""What schemathesis has to be told besides the document: how the bodies that are no JSON are made, and read."""

import io
import json
from typing import Any

import numpy as np
import schemathesis
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection

from gateway.api.openinference.form import HEADER_LENGTH

DTYPES = st.sampled_from([np.float32, np.float64, np.int32, np.int64, np.bool_, np.dtype("S3"), np.dtype("U2")]).map(np.dtype)
KNOWN = {"model": "half_plus_two", "version": 1}
SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=10)
ARRAYS = st.one_of(
    arrays.arrays(DTYPES, SHAPES),
    # Those that the example models take, whole and as one example.
    arrays.arrays(np.float32, st.sampled_from([(1, 1), (3, 1), (1,), (1, 10), (10,), (2, 8, 8), (8, 8)])),
)
NAMES = st.sampled_from(["x", "features", "image", "sku", "quantity", "unit_price", "express", "other"])


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def npz(named: dict[str, np.ndarray]) -> bytes:
    file = io.BytesIO()
    np.savez(file, **named)
    return file.getvalue()


def infer_request(elements: list[float]) -> bytes:
    """An inference request with binary data; without its header, it is JSON with bytes behind it."""
    data = np.array(elements, dtype="<f4").tobytes()
    tensor = {"name": "x", "datatype": "FP32", "shape": [len(elements), 1], "parameters": {"binary_data_size": len(data)}}
    return json.dumps({"inputs": [tensor]}).encode() + data


schemathesis.openapi.media_type("application/x-npy", ARRAYS.map(npy) | st.binary())
schemathesis.openapi.media_type("application/x-npz", st.dictionaries(NAMES, ARRAYS, max_size=5).map(npz) | st.binary())
schemathesis.openapi.media_type(
    "application/octet-stream", st.lists(st.floats(width=32), max_size=3).map(infer_request) | st.binary()
)


@schemathesis.deserializer("application/x-npy", "application/x-npz", "application/octet-stream", "text/html")
def nothing(context: Any, response: Any) -> None:
    """No schema is given for these, so that none of them can break it."""


@schemathesis.check
def valid_json_is_accepted(context: Any, response: Any, case: Any) -> None:
    """The schemas of /predict/<model> say all that there is to say about a JSON body."""
    is_exact = case.path.startswith("/predict") and "{" not in case.path and case.media_type == "application/json"
    if is_exact and case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE:
        assert response.status_code == 200, "what fits the schema was refused"


@schemathesis.check
def other_json_is_refused(context: Any, response: Any, case: Any) -> None:
    """The schemas of infer, too, say what is no request."""
    if case.path.endswith("/infer") and "{" not in case.path and HEADER_LENGTH not in (case.headers or {}):
        negative_data_rejection(context, response, case)


@schemathesis.hook
def before_generate_path_parameters(context: Any, strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Ask for what there is as often as for what there is not."""
    return strategy | strategy.map(known)


def known(parameters: Any) -> Any:
    if not isinstance(parameters, dict):
        return parameters
    return parameters | {name: value for name, value in KNOWN.items() if name in parameters}


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Write whole numbers without a point: JSON Schema takes 1.0 for an integer, and no dialect here does."""
    if isinstance(body, dict):
        return {name: map_body(context, member) for name, member in body.items()}
    if isinstance(body, list):
        return [map_body(context, item) for item in body]
    return int(body) if isinstance(body, float) and body.is_integer() else body
