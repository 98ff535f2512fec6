"""The answer to a request for inference in the Open Inference Protocol: JSON, and behind it what was asked for as binary data.

JSON data is flat, in row-major order, and legal JSON: a number that is not finite is null there, and a BYTES element that is
not UTF-8 is ``{"b64": ...}``. As binary data every tensor comes bit for bit.
"""

from typing import Any, Final

import numpy as np
import orjson

from gateway.api.errors import JSON
from gateway.api.openinference.form import HEADER_LENGTH
from gateway.api.openinference.request import InferRequest, RequestedOutput
from gateway.call import Answer
from gateway.codec.b64 import string_or_b64
from gateway.codec.datatypes import NUMPY_DATATYPES
from gateway.codec.elements import Array, dtype_of
from gateway.codec.raw_tensor import encode_raw_tensor
from gateway.errors import Internal, Unimplemented
from gateway.inference import dtypes
from gateway.inference.signature import Prediction

_JSON: Final = (("Content-Type", JSON),)
_BINARY: Final = ("Content-Type", "application/octet-stream")
_WIDENED: Final = (dtypes.HALF, dtypes.BFLOAT16)


def infer_answer(request: InferRequest, prediction: Prediction) -> Answer:
    """The outputs that ``request`` asked for, in its order, or all of them by name.

    Raises:
        Unimplemented: the protocol has no datatype for an output.
        Internal: the model server left out an output.
    """
    wanted = request.outputs or [RequestedOutput(name, request.binary_output) for name in sorted(prediction.outputs)]
    binary: list[bytes | memoryview] = []
    outputs = [_described(output, prediction.outputs.get(output.name), binary) for output in wanted]
    document: dict[str, Any] = {"model_name": prediction.model, "model_version": str(prediction.version)}
    if request.id is not None:
        document["id"] = request.id
    document["outputs"] = outputs
    header = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    if not binary:
        return Answer(200, header, _JSON)
    return Answer(200, b"".join([header, *binary]), [_BINARY, (HEADER_LENGTH, str(len(header)))])


def _described(output: RequestedOutput, array: Array | None, binary: list[bytes | memoryview]) -> dict[str, Any]:
    """An output as JSON; its data is added to ``binary`` if it was asked for in that way."""
    if array is None:
        raise Internal(f"the model server's answer lacks the output {output.name}")
    datatype = NUMPY_DATATYPES.get(array.dtype)
    if datatype is None:
        raise Unimplemented(f"the output {output.name} is {dtype_of(array)}, for which the protocol has no datatype")
    described: dict[str, Any] = {"name": output.name, "datatype": datatype, "shape": array.shape}
    if output.binary:
        data = encode_raw_tensor(array)
        binary.append(data)
        described["parameters"] = {"binary_data_size": len(data)}
    else:
        described["data"] = _json_data(array)
    return described


def _json_data(array: Array) -> Any:
    """A value that orjson writes as a flat list, with null for a number that is not finite."""
    if array.dtype == object:
        return [string_or_b64(item) for item in array.flat]
    widened = array.astype(np.float32) if dtype_of(array) in _WIDENED else array
    return np.ascontiguousarray(widened).reshape(-1)
