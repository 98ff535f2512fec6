"""Samples in NumPy's .npz: arrays by input name. Nothing is unpickled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from model_export.diagnosis.causes import cause
from model_export.sampling.sample import DEFAULT_SIGNATURE, Sample, SampleError, Signatures, require_inputs
from model_export.saved_model import Array, Signature, Tensor


@dataclass(frozen=True)
class Arrays:
    """The arrays of one file, not yet held against a signature."""

    place: str
    arrays: Mapping[str, Array]

    def bind(self, signatures: Signatures) -> Sequence[Sample]:
        """Return the one sample that the arrays are, of the signature that has these inputs. Raises SampleError."""
        signature = self._signature(signatures)
        require_inputs(signature, list(self.arrays), self.place)
        inputs = {tensor.name: _cast(self.arrays[tensor.name], tensor, self.place) for tensor in signature.inputs}
        return [Sample(signature, inputs, self.place)]

    def _signature(self, signatures: Signatures) -> Signature:
        """Return `serving_default` or another with these inputs; where none has them, the one to tell what it takes instead."""
        if not signatures:
            raise SampleError(f"{self.place}: the model has no signature")
        first = signatures.get(DEFAULT_SIGNATURE) or next(iter(signatures.values()))
        named = [known for known in (first, *signatures.values()) if {t.name for t in known.inputs} == set(self.arrays)]
        return named[0] if named else first


def load(path: Path) -> Arrays:
    """Return the file's arrays. Raises SampleError for a damaged file and for arrays that only pickle could read."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:  # np.load leaves a broken file open
            arrays = {name: archive[name] for name in archive.files}
    except MemoryError as error:
        raise SampleError(f"{path}: cannot be read as .npz: an array says that it is larger than the memory") from error
    except Exception as error:  # a damaged file fails in any way that zip, its compressions and NumPy can
        reason = "it holds Python objects; give strings as dtype S or U" if "allow_pickle" in str(error) else cause(error)
        raise SampleError(f"{path}: cannot be read as .npz: {reason}") from error
    others = [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]
    if others:  # np.load gives what is no .npy as its bytes
        raise SampleError(f"{path}: cannot be read as .npz: {others[0]!r} in it is no array of NumPy")
    return Arrays(str(path), arrays)


def _cast(array: Array, tensor: Tensor, place: str) -> Array:
    """Return the array in the tensor's dtype, if no number changes by more than a float's rounding."""
    if tensor.dtype == tf.string and array.dtype.kind in "SU":
        encode = np.frompyfunc(
            lambda text: text.encode("utf-8", "surrogatepass") if isinstance(text, str) else bytes(text), 1, 1
        )
        return np.asarray(encode(array), dtype=object)
    wanted = np.dtype(tensor.dtype.as_numpy_dtype)
    if array.dtype == wanted:
        return array
    if array.dtype.kind == "V" and array.dtype.itemsize == wanted.itemsize and wanted.kind == "V":
        return array.view(wanted)  # bfloat16, as NumPy writes it
    if _fits(array, tensor.dtype):
        with np.errstate(over="ignore"):
            cast = np.asarray(array.astype(wanted))
        if not tensor.dtype.is_integer and not np.array_equal(np.isfinite(array), np.isfinite(cast)):
            raise SampleError(
                f"{place}: input {tensor.name}: expected numbers that {tensor.dtype.name} can hold, got larger ones"
            )
        return cast
    raise SampleError(f"{place}: input {tensor.name}: expected {tensor.dtype.name}, got an array of {array.dtype}")


def _fits(array: Array, dtype: tf.DType) -> bool:
    if dtype in (tf.string, tf.bool) or array.dtype.kind not in "iufc":
        return False
    if dtype.is_integer:
        return array.dtype.kind in "iu" and (not array.size or bool(dtype.min <= array.min() and array.max() <= dtype.max))
    return dtype.is_complex or (dtype.is_floating and array.dtype.kind in "iuf")
