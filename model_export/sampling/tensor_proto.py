"""A TensorProto as an array, by TensorFlow's own rules (tensor.cc), which servers read requests by.

tf.make_ndarray has other ones: it takes a dimension of -1 and refuses more values than the shape holds.
"""

import math
from typing import Any

import numpy as np
import tensorflow as tf

from model_export.errors import first_line
from model_export.saved_model import Array

_MOST_BYTES = 2**31  # a few bytes can ask for any shape
_MOST_DIMENSIONS = 64  # NumPy has no more


def array_of(tensor: Any) -> Array:
    """Return the array. Raises ValueError for a TensorProto that a server refuses."""
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    if tensor.tensor_shape.unknown_rank or any(size < 0 for size in shape):
        raise ValueError(f"expected the size of every dimension, got {shape or 'an unknown rank'}")
    try:
        dtype = tf.dtypes.as_dtype(tensor.dtype)
    except TypeError as error:
        raise ValueError(f"expected a dtype of TensorFlow, got {tensor.dtype}") from error
    if dtype in (tf.resource, tf.variant):
        raise ValueError(f"a {dtype.name} does not travel")
    if len(shape) > _MOST_DIMENSIONS or math.prod(shape) * dtype.size > _MOST_BYTES:
        raise ValueError(f"expected at most {_MOST_DIMENSIONS} dimensions and {_MOST_BYTES} bytes, got shape {shape}")
    try:
        parsed = tf.io.parse_tensor(tensor.SerializeToString(), dtype).numpy()
    except tf.errors.OpError as error:
        raise ValueError(first_line(error)) from error
    return np.asarray(parsed, dtype=object) if dtype == tf.string else np.asarray(parsed)
