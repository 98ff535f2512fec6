"""A model as the documentation and the refusals describe it: which of its signatures can be called in which dialect."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from gateway.codec.elements import element
from gateway.inference import dtypes
from gateway.inference.dtypes import DType
from gateway.inference.signature import DEFAULT_SIGNATURE, ServedModel, Signature, TensorSpec
from gateway.inference.suggestions import why_not_callable

METHODS: Final = {"classify": "tensorflow/serving/classify", "regress": "tensorflow/serving/regress"}
"""The verbs for tf.Examples, and the method names of the signatures that take them."""


@dataclass(frozen=True, slots=True)
class DocumentedModel:
    """The version of a model that answers a request.

    ``address``: where the client found the gateway (``http://host:port``), for programs that it may run. ``needs_key``: they
    have to send a key, which they take from the environment variable KEY.
    """

    served: ServedModel
    address: str = ""
    needs_key: bool = False

    @property
    def name(self) -> str:
        """The model's name."""
        return self.served.name

    @property
    def in_path(self) -> str:
        """The name, quoted for a path."""
        return quote(self.name, safe="")

    @property
    def curl(self) -> str:
        """The beginning of a command line of curl."""
        return 'curl -H "Authorization: Bearer $KEY"' if self.needs_key else "curl"

    @property
    def is_one_segment(self) -> bool:
        """Whether the name fits into one segment of a path, also where percent escapes are decoded before a route is chosen."""
        return "/" not in self.name

    @property
    def signatures(self) -> tuple[Signature, ...]:
        """The signatures that clients call, the default one first."""
        return self.served.called_signatures

    @property
    def default(self) -> Signature | None:
        """The signature of a request that names none."""
        return self.served.signatures.get(DEFAULT_SIGNATURE)

    def callable_with(self, is_supported: Callable[[DType], bool]) -> tuple[Signature, ...]:
        """The signatures that have inputs, all of them of supported dtypes, and none but plain tensors."""
        callable_ones = (signature for signature in self.signatures if signature.inputs and signature.is_plain)
        return tuple(signature for signature in callable_ones if are_supported(signature.inputs, is_supported))

    def of_method(self, verb: str) -> tuple[Signature, ...]:
        """The signatures that ``verb``, one of METHODS, can call: they take serialized tf.Examples."""
        suited = (signature for signature in self.signatures if signature.is_plain and signature.method == METHODS[verb])
        return tuple(signature for signature in suited if takes_one_string(signature))

    @property
    def problems(self) -> tuple[str, ...]:
        """Why some of ``signatures`` cannot be called, and what to do about each."""
        return tuple(why_not_callable(signature) for signature in self.signatures if not signature.is_plain)


def takes_one_string(signature: Signature) -> bool:
    """Whether the only input is a string, which may be a serialized message or the bytes of a file."""
    return [spec.dtype for spec in signature.inputs] == [dtypes.STRING]


def has_compatible_form(dtype: DType) -> bool:
    """Whether TensorFlow Serving's JSON has ``dtype``."""
    return element(dtype, strict=False).is_supported


def has_array_form(dtype: DType) -> bool:
    """Whether npy and npz have ``dtype``."""
    return dtype.numpy is not None


def has_strict_form(dtype: DType) -> bool:
    """Whether the JSON of /predict has ``dtype``."""
    return element(dtype, strict=True).is_supported


def are_supported(specs: tuple[TensorSpec, ...], is_supported: Callable[[DType], bool]) -> bool:
    """Whether all these tensors are of supported dtypes."""
    return all(is_supported(spec.dtype) for spec in specs)


def has_form(signature: Signature, is_supported: Callable[[DType], bool]) -> bool:
    """Whether all inputs and outputs are of supported dtypes."""
    return are_supported((*signature.inputs, *signature.outputs), is_supported)
