"""Which inputs look like the parts of a sparse or ragged tensor: indices, values, dense_shape; values and row_splits.

tf.function takes a SparseTensorSpec or RaggedTensorSpec apart into inputs such as `x`, `x_1` and `x_2`, so names tell little:
what counts is dtype and shape.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import combinations

import tensorflow as tf

from model_export.saved_model import Signature, Tensor

Roles = Mapping[str, str]

_INDEX_DTYPES = (tf.int64, tf.int32)
_MOST_SPLITS = 4


def sparse_roles(signature: Signature) -> dict[str, str]:
    """Return input name -> `indices` or `dense_shape`, for the parts of sparse tensors; empty where there are none.

    Integers [-1,k] are indices where there is a dense_shape: integers [k], or of a free size with a name that says so.
    """
    integers = [tensor for tensor in signature.inputs if tensor.dtype.base_dtype in _INDEX_DTYPES and tensor.shape]
    matrices = [tensor for tensor in integers if len(tensor.shape or ()) == 2]
    shapes = [tensor for tensor in integers if len(tensor.shape or ()) == 1 and _is_dense_shape(tensor)]
    depths = {tensor.shape[0] for tensor in shapes if tensor.shape}
    indices = [tensor for tensor in matrices if tensor.shape and (tensor.shape[1] in depths or "indices" in tensor.name)]
    if not indices or not shapes:
        return {}
    return {tensor.name: "indices" for tensor in indices} | {tensor.name: "dense_shape" for tensor in shapes}


def looks_ragged(signature: Signature) -> bool:
    """Whether a list of integers is named as row_splits are, or as tf.function names those of a RaggedTensorSpec: x and x_1."""
    names = {tensor.name for tensor in signature.inputs}
    lists = [tensor.name for tensor in signature.inputs if _may_be_splits(tensor)]
    return any("split" in name or "rowid" in name or re.sub(r"_\d+$", "", name) in names - {name} for name in lists)


def ragged_roles(signature: Signature, taken: Roles) -> Iterator[Roles]:
    """Yield ways to take lists of integers, all or some, for row_splits or value_rowids of ragged tensors.

    Those in `taken` have a role already.
    """
    names = [tensor.name for tensor in signature.inputs if _may_be_splits(tensor) and tensor.name not in taken]
    counts = {tensor.name: "nrows" for tensor in signature.inputs if tensor.shape == () and "nrows" in tensor.name}
    if not names or len(signature.inputs) < 2:
        return
    named = tuple(name for name in names if "split" in name or re.search(r"_\d+$", name))
    groups = [group for size in range(len(names), 0, -1) for group in combinations(names[:_MOST_SPLITS], size)]
    for group in dict.fromkeys([named, *groups] if named else groups):
        yield {**counts, **dict.fromkeys(group, "row_splits")}
        yield {**counts, **dict.fromkeys(group, "value_rowids")}


def _is_dense_shape(tensor: Tensor) -> bool:
    return bool(tensor.shape) and (tensor.shape != (None,) or "shape" in tensor.name)


def _may_be_splits(tensor: Tensor) -> bool:
    return tensor.dtype.base_dtype in _INDEX_DTYPES and tensor.shape == (None,)
