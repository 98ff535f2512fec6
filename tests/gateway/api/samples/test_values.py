"""The value of each tensor of a signature."""

import numpy as np

from gateway.api.samples.values import flat_sample, row_sample, sample_shape, whole_sample
from gateway.inference import dtypes
from gateway.inference.signature import Signature, TensorSpec


def test_samples_are_always_the_same_and_of_the_declared_shape():
    one = TensorSpec("x", dtypes.INT64, (None, 2, None))
    of = Signature("serving_default", "", (one,), ())
    assert whole_sample(of, one) == [[[1], [1]]]
    assert row_sample(of, one) == [[1], [1]]
    assert np.array(flat_sample(of, one)).reshape(sample_shape(of, one)).shape == (1, 2, 1)
