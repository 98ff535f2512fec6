"""What models answer -> the JSON bytes of a /predict answer."""

from typing import Any

import numpy as np
import orjson

from gateway.codec import json_output
from gateway.codec.elements import Array, dtype_of
from gateway.codec.json_output import OPTIONS, native_array, string_output
from gateway.errors import Unimplemented
from gateway.inference import dtypes
from gateway.inference.signature import Prediction, Tensors


def dump_prediction(prediction: Prediction, outputs: Tensors) -> bytes:
    """The answer, with ``outputs`` as its ``prediction``. Raises Unimplemented for a complex output."""
    answer = {
        "ok": True,
        "status": "success",
        "prediction": prediction_value(outputs),
        "model": prediction.model,
        "model_version": str(prediction.version),
    }
    return orjson.dumps(answer, option=OPTIONS)


def prediction_value(outputs: Tensors) -> Any:
    """What orjson writes for ``outputs``: the bare value of one output, or an object of several.

    Numbers that are not finite are null. Raises Unimplemented for a complex output.
    """
    return json_output.bare_if_one({name: _legal(name, array) for name, array in outputs.items()})


def _legal(name: str, array: Array) -> Any:
    """What orjson writes for ``array`` in JSON that every parser reads."""
    dtype = dtype_of(array)
    if dtype in (dtypes.COMPLEX64, dtypes.COMPLEX128):
        raise Unimplemented(f"the output {name} is {dtype}, which has no JSON form")
    if dtype == dtypes.STRING:
        return string_output(name, array)
    return native_array(array.astype(np.float32) if dtype in (dtypes.HALF, dtypes.BFLOAT16) else array)
