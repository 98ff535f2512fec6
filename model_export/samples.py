"""Inputs to try a signature with, made from its declaration alone: dtypes, shapes and, for strings, likely contents."""

from collections.abc import Iterator, Mapping
from itertools import product

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from model_export.saved_model import Signature, Tensor

Inputs = Mapping[str, npt.NDArray[np.generic]]

# What a free dimension other than the first may have to be: an image model often refuses one pixel.
_FREE_SIZES = (1, 32, 224)
# What a shape that is not declared at all may be; serialized examples, the usual case, come as a list.
_FREE_RANKS = (1, 0, 2)
# Ones divide; zeros are in every vocabulary.
_NUMBERS = (1, 0)


def likely_strings(example: bytes) -> tuple[bytes, ...]:
    """Return what a string input may want. `example` is a serialized tf.Example that fits the graph, or empty if the graph
    parses none. Call it outside any graph."""
    black = np.zeros((8, 8, 1), np.uint8)
    png, jpeg = tf.io.encode_png(black).numpy(), tf.io.encode_jpeg(black).numpy()
    contents = (b"text", png, jpeg, b"", b"1", b"{}")
    return (example, *contents) if example else contents


def candidates(signature: Signature, strings: tuple[bytes, ...]) -> Iterator[Inputs]:
    """Yield inputs that the signature may accept, likeliest first, each with one row where the first dimension is free.

    A signature without inputs yields `{}` once.
    """
    texts = strings if any(tensor.dtype == tf.string for tensor in signature.inputs) else strings[:1]
    numbers = _NUMBERS if any(tensor.dtype != tf.string for tensor in signature.inputs) else _NUMBERS[:1]
    sizes = _FREE_SIZES if any(None in (tensor.shape or ())[1:] for tensor in signature.inputs) else _FREE_SIZES[:1]
    ranks = _FREE_RANKS if any(tensor.shape is None for tensor in signature.inputs) else _FREE_RANKS[:1]
    for rank, size, number, text in product(ranks, sizes, numbers, texts):
        yield {tensor.name: _array(tensor, (1,) * rank, size, number, text) for tensor in signature.inputs}


def is_numeric(signature: Signature) -> bool:
    """Whether no input is a string: then nothing about the contents of its inputs has to be guessed."""
    return all(tensor.dtype != tf.string for tensor in signature.inputs)


def has_free_inner_shape(signature: Signature) -> bool:
    """Whether some input leaves its rank, or a dimension other than the first, open."""
    return any(tensor.shape is None or None in tensor.shape[1:] for tensor in signature.inputs)


def _array(tensor: Tensor, undeclared: tuple[int, ...], size: int, number: int, text: bytes) -> npt.NDArray[np.generic]:
    shape = undeclared if tensor.shape is None else tuple(_dims(tensor.shape, size))
    if tensor.dtype == tf.string:
        return np.full(shape, text, dtype=object)
    return np.full(shape, number).astype(tensor.dtype.as_numpy_dtype)


def _dims(shape: tuple[int | None, ...], size: int) -> Iterator[int]:
    for position, dim in enumerate(shape):
        yield dim if dim is not None else 1 if position == 0 else size
