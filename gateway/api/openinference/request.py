"""A request for inference in the Open Inference Protocol: JSON, the binary data behind it, and the tensors they make together.

A good request is decoded in one step. Only a request that is not recognised is looked at member by member, and either accepted
after all or refused with every problem.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from gateway.api.openinference import decoder, form, tensor
from gateway.api.openinference.decoder import Input, Output, Request
from gateway.api.openinference.refusal import Refusal
from gateway.codec.datatypes import has_datatype
from gateway.codec.elements import Array
from gateway.codec.json_text import parse_json
from gateway.codec.problems import Problems, cut_text
from gateway.errors import InvalidArgument, Unimplemented
from gateway.inference.signature import DEFAULT_SIGNATURE, Signature, TensorSpec
from gateway.inference.suggestions import refuse_composite

HEADER_LENGTH: Final = form.HEADER_LENGTH

_MAX_NAME: Final = 200  # characters of a signature's name in a message or a log
_NO_REQUEST: Final = "this is no inference request:"
_RAW: Final[dict[str, Any]] = {"binary_data_output": True}


class RequestedOutput(NamedTuple):
    """An output that the client wants, and whether as binary data."""

    name: str
    binary: bool


def json_length(header_length: str | None, body_bytes: int) -> int | None:
    """How many bytes of a body are JSON, by the header of that name (None: all). Raises InvalidArgument if it does not fit."""
    if header_length is None:
        return None
    if header_length.isascii() and header_length.isdigit() and len(header_length) < 20 and int(header_length) <= body_bytes:
        return int(header_length)
    got = cut_text(header_length, 40)
    raise InvalidArgument(f'{HEADER_LENGTH}: expected the length of the JSON, from 0 to {body_bytes}, got "{got}"')


class InferRequest:
    """One request. ``tensors`` may be asked for more than one signature. Not thread-safe."""

    def __init__(self, body: bytes, json_bytes: int | None) -> None:
        """``json_bytes`` of ``body`` are JSON (None: all), and behind them is binary data.

        If it is 0, the body is the data of the only input, and the outputs are wanted in the same way. Raises InvalidArgument
        for a body that is not one JSON object.
        """
        self._json = body if json_bytes is None else body[:json_bytes]
        self._binary = memoryview(body)[len(self._json) :]
        self._is_raw = json_bytes == 0
        self._request = Request([], parameters=_RAW) if self._is_raw else decoder.decode(self._json)
        self._parameters: Mapping[str, Any] = (self._request.parameters if self._request is not None else None) or {}
        self._outputs: tuple[RequestedOutput, ...] | None = None
        self._refused: Any = None  # the document of a request that is None for its form
        if self._request is None:
            self._look(is_whole=json_bytes is None)

    @property
    def id(self) -> str | None:
        """The client's own name for the request."""
        return None if self._request is None else self._request.id

    @property
    def signature(self) -> str:
        """The signature that the parameter ``signature_name`` asks for."""
        name = self._parameters.get(form.SIGNATURE_NAME)
        return cut_text(name, _MAX_NAME) if name else DEFAULT_SIGNATURE

    @property
    def document(self) -> Any:
        """The JSON of a request that was refused, decoded; None for a body without JSON."""
        if self._is_raw or self._refused is not None:
            return self._refused
        return parse_json(self._json, strict=True)

    @property
    def binary_output(self) -> bool:
        """Whether outputs that do not say otherwise are wanted as binary data."""
        return bool(self._parameters.get("binary_data_output"))

    def outputs(self) -> tuple[RequestedOutput, ...]:
        """The outputs asked for, in the client's order (none: all). Complete only once ``tensors`` has found nothing wrong."""
        if self._outputs is None:
            items = self._request.outputs if self._request is not None else None
            self._outputs = tuple([_requested(item, self.binary_output) for item in items or ()])
        return self._outputs

    def tensors(self, signature: Signature) -> dict[str, Array]:
        """The input tensors, which fit ``signature``.

        Raises:
            InvalidArgument: the request does not fit; it holds every problem.
            Unimplemented: the protocol has no datatype for one of the tensors, or one of them is no plain tensor.
        """
        has_datatypes = _has_datatypes(signature)
        if not has_datatypes:
            _refuse_unsupported(signature, signature.inputs)
            refuse_composite(signature, self._named_outputs(signature))
        tensors = self._tensors(signature)
        if tensors is None:
            tensors = self._looked_at(signature)
        if not has_datatypes:
            _refuse_unsupported(signature, self._wanted(signature) or ())
        return tensors

    def _look(self, *, is_whole: bool) -> None:
        """Read a request that was not recognised. ``is_whole``: no header says where the JSON ends.

        If there is a problem with the form, the request stays None, and ``tensors`` tells the problem.
        """
        try:
            document = self.document
        except InvalidArgument as error:
            raise _with_header(error) if is_whole else error from None
        problems = Problems()
        members = form.read(form.REQUEST, document, (), problems)
        if not isinstance(document, dict):
            raise problems.invalid_argument(_NO_REQUEST)
        self._request = None if problems.count else decoder.load(document)
        self._refused = document if self._request is None else None
        self._parameters = members.get("parameters") or {}

    def _looked_at(self, signature: Signature) -> dict[str, Array]:
        """The tensors of a request that does not seem to fit, by its whole document. Raises InvalidArgument if it does not."""
        if self._request is None or not decoder.has_blocks(self._request):
            raise self._refusal(self.document, signature)
        self._request = None  # before there is the whole of it beside
        document = self.document
        self._request = decoder.load(document)
        tensors = self._tensors(signature)
        if tensors is None:
            raise self._refusal(document, signature)
        return tensors

    def _tensors(self, signature: Signature) -> dict[str, Array] | None:
        """The tensors for ``signature``, or None if anything is wrong."""
        if self._request is None or self._wanted(signature) is None:
            return None
        inputs, binary = self._request.inputs, self._binary
        if self._is_raw:
            described, binary = tensor.of_raw_body(signature, self._binary)
            inputs = [Input(**described)]
        return _load(inputs, binary, signature)

    def _wanted(self, signature: Signature) -> Sequence[TensorSpec] | None:
        """The outputs asked for; None if ``signature`` does not have one of them, or if one is asked for twice."""
        if not self.outputs():
            return signature.outputs
        specs = {spec.name: spec for spec in signature.outputs}
        wanted = [specs.pop(output.name) for output in self.outputs() if output.name in specs]
        return wanted if len(wanted) == len(self.outputs()) else None

    def _named_outputs(self, signature: Signature) -> Sequence[TensorSpec]:
        """The outputs that are asked for, in a request that may have any problem."""
        outputs = [] if self._is_raw else self.document.get("outputs")
        items = outputs if isinstance(outputs, list) else []
        names = [item.get("name") for item in items if isinstance(item, dict)]
        return [spec for spec in signature.outputs if spec.name in names] if names else signature.outputs

    def _refusal(self, document: Any, signature: Signature) -> InvalidArgument:
        binary = self._binary
        if self._is_raw:
            described, binary = tensor.of_raw_body(signature, self._binary)
            document = {"inputs": [described]}
        problems = Refusal(document, binary, signature).find()
        return problems.invalid_argument(f"the request does not fit the signature {signature.name}:")


def _load(inputs: Iterable[Input], binary: memoryview, signature: Signature) -> dict[str, Array] | None:
    """The tensors of ``inputs``, each once and none missing, and all of ``binary`` used; or None."""
    specs = {spec.name: spec for spec in signature.inputs}
    tensors: dict[str, Array] = {}
    at = 0
    for given in inputs:
        spec, size = specs.pop(given.name, None), decoder.binary_size(given)
        data = None if size is None else binary[at : at + size]
        array = None if spec is None else tensor.load(given, data, spec)
        if array is None:
            return None
        tensors[given.name] = array
        at += size or 0
    is_complete = at == len(binary) and all(spec.has_default for spec in specs.values())
    return tensors if is_complete else None


def _requested(output: Output, default: bool) -> RequestedOutput:
    binary = output.parameters.get("binary_data") if output.parameters else None
    return RequestedOutput(output.name, default if binary is None else binary)


def _with_header(error: InvalidArgument) -> InvalidArgument:
    """``error``, and how binary data is sent if the error says that something follows the JSON."""
    if not error.problems:
        return error
    problems = Problems()
    for problem in error.problems:
        expected = f"{problem.expected} (or, before binary data, the header {HEADER_LENGTH} with the length of the JSON)"
        problems.note((), expected, problem.got)
    return problems.invalid_argument(_NO_REQUEST)


@lru_cache(maxsize=1024)
def _has_datatypes(signature: Signature) -> bool:
    """Whether the protocol has a datatype for every tensor of ``signature``."""
    return signature.is_plain and all(has_datatype(spec.dtype) for spec in (*signature.inputs, *signature.outputs))


def _refuse_unsupported(signature: Signature, specs: Sequence[TensorSpec]) -> None:
    refuse_composite(signature, specs)
    for spec in specs:
        if not has_datatype(spec.dtype):
            raise Unimplemented(f"the tensor {spec.name} is {spec.dtype}, for which the protocol has no datatype")
