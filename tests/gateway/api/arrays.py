"""Random tensors of every dtype, and a model server whose model gives them back, for the property tests."""

import math
from contextlib import contextmanager

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gateway.app import close, create_app
from gateway.backend import tensor_proto
from gateway.inference import dtypes
from tests.gateway.conftest import Client, settings
from tests.gateway.fake_serving import FakeServing, Version, serving, signature

ENUMS = {row.dtype: row.enum for row in tensor_proto._TABLE}
NO_DATATYPE = (dtypes.COMPLEX64, dtypes.COMPLEX128)
PROTOCOL = [dtype for dtype in dtypes.DTYPES if dtype not in NO_DATATYPE]


def any_rank(dtype, inputs=("x",)):
    """The signature of an identity of ``dtype``, whatever the shape."""
    proto = signature({name: (ENUMS[dtype], []) for name in inputs}, {name: (ENUMS[dtype], []) for name in inputs})
    for tensors in (proto.inputs, proto.outputs):
        for name in inputs:
            tensors[name].tensor_shape.unknown_rank = True
    return proto


@contextmanager
def identity(**changes):
    """A client of an app before a server of the models ``any`` and ``two``, with a signature for each dtype by its name."""
    fake = FakeServing()
    signatures = {dtype.name: any_rank(dtype) for dtype in dtypes.DTYPES}
    fake.models["any"] = {1: Version(dict, signatures | {"serving_default": any_rank(dtypes.FLOAT)})}
    for dtype in dtypes.DTYPES:
        fake.models[dtype.name] = {1: Version(dict, {"serving_default": any_rank(dtype)})}
    with serving(fake) as port:
        app = create_app(settings(port, predict_timeout_ms=60_000, **changes))
        try:
            yield Client(app, fake)
        finally:
            close(app)


def objects(items, shape):
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array.reshape(shape)


@st.composite
def tensors(draw, among=PROTOCOL, *, finite=False, elements=None):
    """A dtype and an array of it; numbers have every bit pattern, unless they are to be ``finite``."""
    dtype = draw(st.sampled_from(among))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3))
    return dtype, draw(arrays_of(dtype, shape, finite=finite, elements=elements))


def arrays_of(dtype, shape, *, finite=False, elements=None):
    size = math.prod(shape)
    if dtype == dtypes.STRING:
        items = st.binary(max_size=6) if elements is None else elements
        return st.lists(items, min_size=size, max_size=size).map(lambda items: objects(items, shape))
    if dtype == dtypes.BOOL:
        return hnp.arrays(np.bool_, shape)
    patterns = size * dtype.numpy.itemsize
    arrays = st.binary(min_size=patterns, max_size=patterns).map(lambda data: of_bytes(data, dtype, shape))
    return arrays.map(without_specials) if finite else arrays


def of_bytes(data, dtype, shape):
    return np.frombuffer(data, dtype.numpy).reshape(shape) if data else np.empty(shape, dtype.numpy)


def without_specials(array):
    if array.dtype.kind not in "fV":
        return array
    return np.where(np.isfinite(array), array, np.ones((), array.dtype)).astype(array.dtype)


def bits(array):
    """What must be equal in two arrays that are the same bit for bit."""
    content = array.ravel().tolist() if array.dtype == object else np.ascontiguousarray(array).tobytes()
    return array.dtype, array.shape, content
