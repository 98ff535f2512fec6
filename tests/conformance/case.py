"""One case of a case file, and the values that it holds in the file's conventions (its ``meta`` tells them)."""

import base64
import gzip
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gateway.backend.replies import signature_from_proto
from gateway.backend.stubs import DataType, SignatureDef
from gateway.inference.signature import Signature

OWN_CASES = Path(__file__).parent / "cases.json"


@dataclass(frozen=True)
class CaseFile:
    fixtures: dict
    cases: list[dict]


def load() -> CaseFile:
    """The file that CONFORMANCE_CASES names, or the project's own."""
    return _read(Path(os.environ.get("CONFORMANCE_CASES") or OWN_CASES))


def load_own() -> CaseFile:
    return _read(OWN_CASES)


def _read(path: Path) -> CaseFile:
    content = json.loads(path.read_text())
    return CaseFile(content["meta"]["fixtures"], content["cases"])


def body(request: dict) -> bytes:
    return gzip.compress(_plain_body(request)) if request.get("gzip") else _plain_body(request)


def _plain_body(request: dict) -> bytes:
    if "body_b64" in request:
        return base64.b64decode(request["body_b64"])
    if "body_parts" in request:
        return "".join(text * count for text, count in request["body_parts"]).encode()
    return request.get("body", "").encode()


def signature(inputs: dict) -> Signature:
    proto = SignatureDef(method_name="tensorflow/serving/predict")
    for name, tensor in inputs.items():
        proto.inputs[name].dtype = DataType.Value(tensor["dtype"])
        proto.inputs[name].tensor_shape.unknown_rank = True
    return signature_from_proto("serving_default", proto)


def dtype(name: str):
    """The numpy dtype of ``DT_INT8`` and so on."""
    return signature({"x": {"dtype": name}}).inputs[0].dtype.numpy


def array(tensor: dict) -> np.ndarray:
    """The tensor; integers are narrowed as TensorFlow narrows the numbers of a TensorProto."""
    wanted = dtype(tensor["dtype"])
    if tensor["dtype"] == "DT_STRING":
        return strings(tensor["values"]).reshape(tensor["shape"])
    if wanted.kind in "iu":
        values = np.array([number % 2 ** (8 * wanted.itemsize) for number in tensor["values"]], dtype=f"u{wanted.itemsize}")
        return values.view(wanted).reshape(tensor["shape"])
    with np.errstate(over="ignore"):
        return np.array(list(map(number, tensor["values"])), dtype=np.float64).astype(wanted).reshape(tensor["shape"])


def strings(values: list) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = [raw_bytes(value) for value in values]
    return array


def raw_bytes(value) -> bytes:
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value.encode()


def number(value):
    return float(value) if isinstance(value, str) else value
