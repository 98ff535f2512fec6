"""Contents for arrays of numbers: constants, ramps, identity matrices, random numbers. Each fill is a function of a shape."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from model_export.saved_model import Array

Fill = Callable[[tuple[int, ...]], npt.NDArray[np.float64]]

_SEED = 7


def constant(number: float) -> Fill:
    """The same number everywhere."""
    return lambda shape: np.full(shape, number, np.float64)


def ramp(shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Count from 0, in the order of memory."""
    return np.arange(np.prod(shape, dtype=np.int64), dtype=np.float64).reshape(shape)


def positions(shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Count from 0 along the last dimension, the same in each row."""
    return np.zeros(shape) + (np.arange(shape[-1]) if shape else 0)


def identity(shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Identity matrices in the last two dimensions; ones where there is no such pair."""
    return np.zeros(shape) + np.eye(shape[-2], shape[-1]) if len(shape) >= 2 else np.ones(shape)


def shares(shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Probabilities: equal numbers whose sum over the last dimension is 1."""
    return np.full(shape, 1 / max(1, shape[-1]) if shape else 1.0)


def small(shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Random numbers between 0 and 1, the same ones every time."""
    return np.random.default_rng(_SEED).random(shape)


def spread(seed: int) -> Fill:
    """Random numbers of both signs, most of them between -3 and 3; other ones for each seed."""
    return lambda shape: np.random.default_rng([_SEED, seed]).normal(size=shape) * 1.5


def cast(values: npt.NDArray[np.float64], dtype: tf.DType) -> Array:
    """Return the numbers in this dtype. Floats become integers by truncation, booleans by being odd."""
    if dtype == tf.bool:
        return np.asarray(values.astype(np.int64) % 2 == 1)
    if dtype.is_integer:
        return np.asarray(values.astype(np.int64).astype(dtype.as_numpy_dtype))
    return np.asarray(values.astype(dtype.as_numpy_dtype))
