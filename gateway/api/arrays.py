"""Bodies of arrays instead of JSON, both ways: npy for one tensor, npz for tensors by name.

``received_arrays`` reads a request by its Content-Type, ``arrays_answer`` writes its answer by its Accept. The dtypes are those
of the signature: nothing is cast, and numbers keep every bit.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, TypeVar

from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from gateway.api.body import Bodies
from gateway.api.memory import SMALL_BYTES
from gateway.api.tensor_field import example_dims
from gateway.call import Answer, Call
from gateway.codec.elements import Array
from gateway.codec.npy import decode_npy, encode_npy
from gateway.codec.npz import pack_npz, unpack_npz, unpacked_bytes
from gateway.codec.problems import Problems, cut_text
from gateway.codec.raw_tensor import Unreadable
from gateway.errors import InvalidArgument
from gateway.inference.dtypes import STRING
from gateway.inference.signature import Signature, Tensors, TensorSpec

Result = TypeVar("Result")

NPY: Final = "application/x-npy"
NPZ: Final = "application/x-npz"
_JSON: Final = "application/json"
_FORMATS: Final = {NPY: NPY, "application/npy": NPY, NPZ: NPZ, "application/npz": NPZ, "application/zip": NPZ}
_MOST_ACCEPT: Final = ("", "*/*", _JSON)
_MOST_SENT: Final = ("", _JSON, "application/x-www-form-urlencoded")
_MAX_NAMES: Final = 200  # characters of a list of names in a message


class ArrayBody:
    """The arrays ``data`` of ``media_type`` in the body of ``call``; ``is_example`` as for ``read_arrays``."""

    def __init__(self, call: Call, bodies: Bodies, data: bytes, media_type: str, *, is_example: bool) -> None:
        self.load: Callable[[Signature], Tensors] = partial(read_arrays, data, media_type, bodies.limit, is_example)
        """The tensors for a signature. Raises as ``read_arrays``."""
        self._call = call
        self._memory = bodies.memory
        unpacked = unpacked_bytes(data) if media_type == NPZ else 0
        self._is_packed = unpacked > len(data)
        self._size = max(len(data), min(unpacked, bodies.limit))
        # A body with a Content-Encoding has its share already.
        self._unheld = self._size if data is call.body else self._size - len(data)

    def building(self, work: Callable[[Signature], Result]) -> Callable[[Signature], Awaitable[Result]]:
        """A function that does ``work``, which calls ``load``, in a thread if the arrays are large.

        Strings become objects of many times their size, and a small archive inflates to a large one: both need their share of
        the bodies in work, as JSON does. It raises Unavailable when there are too many others.
        """
        return partial(self._build, work)

    async def _build(self, work: Callable[[Signature], Result], signature: Signature) -> Result:
        needs_share = self._is_packed or any(spec.dtype == STRING for spec in signature.inputs)
        if needs_share and self._unheld > SMALL_BYTES:
            size, self._unheld = self._unheld, 0
            await self._memory.hold(self._call, size)
        return await self._memory.run(self._size, work, signature)


async def received_arrays(call: Call, bodies: Bodies, *, is_example: bool) -> ArrayBody | None:
    """The arrays in the body of ``call``; None if it is no body of arrays."""
    if call.headers.get("content-type", "") in _MOST_SENT or call.media_type not in _FORMATS:
        return None
    data = await bodies.read(call, is_json=False)
    return ArrayBody(call, bodies, data, _FORMATS[call.media_type], is_example=is_example)


def arrays_answer(call: Call, outputs: Tensors) -> Answer | None:
    """The answer to ``call`` as ``write_arrays`` makes it; None if the client prefers JSON."""
    accept = call.headers.get("accept", "")
    if accept in _MOST_ACCEPT:
        return None
    best = parse_accept_header(accept, MIMEAccept).best_match([_JSON, *_FORMATS], default=_JSON)
    if best not in _FORMATS:
        return None
    return Answer(200, write_arrays(outputs, _FORMATS[best]), [("Content-Type", _FORMATS[best])])


def read_arrays(data: bytes, media_type: str, limit: int, is_example: bool, signature: Signature) -> Tensors:
    """The tensors for ``signature`` in a body of NPY or NPZ, whose arrays may have ``limit`` bytes in all.

    ``is_example``: the arrays are one example. Their shapes must be as declared, without a free dimension 0, which is added.
    Otherwise they are whole tensors, whose shapes are not checked. Raises InvalidArgument with every problem.
    """
    problems = Problems()
    files = _named(data, signature) if media_type == NPY else _unpacked(data, signature, limit, problems)
    specs = {spec.name: spec for spec in signature.inputs}
    tensors = {name: _array(file, specs[name], place, is_example, problems) for name, (file, place) in files.items()}
    if problems.count:
        raise problems.summary()
    return {name: array for name, array in tensors.items() if array is not None}


def write_arrays(outputs: Tensors, media_type: str) -> bytes:
    """``outputs`` as NPY or NPZ.

    Raises InvalidArgument for several outputs as NPY, Unimplemented for strings that the formats cannot hold.
    """
    files = {name: encode_npy(name, array) for name, array in outputs.items()}
    if media_type == NPZ:
        return pack_npz(files)
    if len(files) != 1:
        raise InvalidArgument(f"{NPY} holds one array and there are {len(files)} outputs: accept {NPZ}")
    return next(iter(files.values()))


def _named(data: bytes, signature: Signature) -> dict[str, tuple[bytes, tuple[str, ...]]]:
    """The only file, by the name of the only input that it can be for."""
    needed = [spec.name for spec in signature.inputs if not spec.has_default] or [spec.name for spec in signature.inputs]
    if len(needed) != 1:
        names = cut_text(", ".join(needed), _MAX_NAMES)
        raise InvalidArgument(f"{NPY} holds one array and the inputs are {names or 'none'}: send {NPZ}, with their names")
    return {needed[0]: (data, ())}


def _unpacked(data: bytes, signature: Signature, limit: int, problems: Problems) -> Mapping[str, tuple[bytes, tuple[str, ...]]]:
    """The files by input, without those that belong to no input."""
    files: dict[str, tuple[bytes, tuple[str, ...]]] = {}
    names = [spec.name for spec in signature.inputs]
    try:
        for name, file in unpack_npz(data, limit):
            if name not in names or name in files:
                expected = "each input once" if name in files else f"only the inputs {cut_text(', '.join(names), _MAX_NAMES)}"
                problems.note((name,), expected, "a repeated name" if name in files else "an unknown name")
            else:
                files[name] = (file, (name,))
    except Unreadable as unreadable:
        problems.note((), unreadable.expected, unreadable.got)
        return files
    for spec in signature.inputs:
        if spec.name not in files and not spec.has_default:
            problems.note((spec.name,), f"an array of {spec}", "nothing")
    return files


def _array(file: bytes, spec: TensorSpec, place: tuple[str, ...], is_example: bool, problems: Problems) -> Array | None:
    try:
        array = decode_npy(file, spec.dtype)
    except Unreadable as unreadable:
        problems.note(place, unreadable.expected, unreadable.got)
        return None
    if not is_example:
        return array
    shape = (1, *array.shape) if spec.has_free_batch else array.shape
    if not spec.fits(shape):
        sizes = ", ".join("any" if size is None else str(size) for size in example_dims(spec) or ())
        problems.note(place, f"an array of shape [{sizes}]", f"shape {list(array.shape)}")
        return None
    return array.reshape(shape)
