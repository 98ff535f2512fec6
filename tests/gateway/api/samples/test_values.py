"""The value of each tensor of a signature."""

import numpy as np

from gateway.api.samples import values
from gateway.inference import dtypes
from gateway.inference.signature import Signature, TensorSpec


def test_samples_are_always_the_same_and_of_the_declared_shape():
    one = TensorSpec("x", dtypes.INT64, (None, 2, None))
    of = Signature("serving_default", "", (one,), ())
    assert values.whole(of, one) == [[[1], [1]]]
    assert values.row(of, one) == [[1], [1]]
    assert np.array(values.flat(of, one)).reshape(values.shape(of, one)).shape == (1, 2, 1)
