"""A request for inference in the Open Inference Protocol: JSON, the binary data behind it, and the tensors they make together.

A good request is decoded in one step. Only a request that is not recognised, or does not fit, is read member by member, and
either accepted after all or refused with every problem.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from gateway.api.openinference import decoder, form, tensor
from gateway.api.openinference.form import HEADER_LENGTH
from gateway.api.openinference.reading import Reading
from gateway.codec.datatypes import has_datatype
from gateway.codec.elements import Array
from gateway.codec.json_text import parse_json
from gateway.codec.problems import Problems, cut_text
from gateway.errors import GatewayError, InvalidArgument, Unimplemented
from gateway.inference.signature import DEFAULT_SIGNATURE, Signature, TensorSpec
from gateway.inference.suggestions import refuse_composite, with_lines

_MAX_NAME: Final = 200  # characters of a signature's name in a message or a log
_NO_REQUEST: Final = "the body is not an inference request:"
_RAW: Final[dict[str, Any]] = {"parameters": {"binary_data_output": True}}


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
    """One request. ``tensors`` may be asked for more than one signature. Not thread-safe.

    Until ``tensors`` has found nothing wrong, the other members are what can be made out of the request.

    ``id``: the client's own name for the request, or None. ``signature``: the one that the parameter ``signature_name`` asks
    for. ``binary_output``: whether outputs that do not say otherwise are wanted as binary data. ``outputs``: those asked for,
    in the client's order; none: all.
    """

    def __init__(self, body: bytes, json_bytes: int | None) -> None:
        """``json_bytes`` of ``body`` are JSON (None: all), and behind them is binary data.

        If it is 0, the body is the data of the only input, and the outputs are wanted in the same way. Raises InvalidArgument
        for a body that is not one JSON object.
        """
        self._json = body if json_bytes is None else body[:json_bytes]
        self._binary = memoryview(body)[len(self._json) :]
        self._is_raw = json_bytes == 0
        request = _RAW if self._is_raw else decoder.decode_request(self._json)
        self._is_decoded = request is not None
        self._request: Any = _document(self._json, is_whole=json_bytes is None) if request is None else request
        parameters = self._request.get("parameters")
        if not isinstance(parameters, dict):
            parameters = {}
        name = parameters.get(form.SIGNATURE_NAME)
        self.id: str | None = self._request.get("id")
        self.signature = cut_text(name, _MAX_NAME) if name and isinstance(name, str) else DEFAULT_SIGNATURE
        self.binary_output = bool(parameters.get("binary_data_output"))
        outputs = self._request.get("outputs")
        self.outputs = _requested(outputs, self.binary_output) if outputs else ()

    @property
    def document(self) -> Any:
        """The JSON of the request, with NumberBlocks if it was decoded; None for a body without JSON."""
        return None if self._is_raw else self._request

    def tensors(self, signature: Signature) -> dict[str, Array]:
        """The input tensors, which fit ``signature``.

        Raises:
            InvalidArgument: the request does not fit; it holds every problem.
            Unimplemented: the protocol has no datatype for one of the tensors, or one of them is no plain tensor.
        """
        if _has_datatypes(signature):
            return self._tensors(signature)
        outputs = {spec.name: spec for spec in signature.outputs}
        wanted = [outputs[output.name] for output in self.outputs if output.name in outputs]
        _refuse_unsupported(signature, signature.inputs)
        refuse_composite(signature, wanted if self.outputs else signature.outputs)
        tensors = self._tensors(signature)
        _refuse_unsupported(signature, wanted if self.outputs else signature.outputs)
        return tensors

    def _tensors(self, signature: Signature) -> dict[str, Array]:
        if self._is_raw:
            return tensor.raw_body_tensor(signature, self._binary)
        if self._is_decoded:
            tensors = _load(self._request["inputs"], self._binary, signature) if self._has_outputs(signature) else None
            if tensors is not None:
                return tensors
            # NumberBlocks cannot be explained, and the form accepts numbers that no block is made of.
            self._is_decoded, self._request = False, {}  # freed before the whole document is read
            self._request = parse_json(self._json, strict=True)
        return Reading(self._request, self._binary, signature).tensors()

    def _has_outputs(self, signature: Signature) -> bool:
        """Whether ``signature`` has all outputs that are asked for, and none of them is asked for twice."""
        if not self.outputs:
            return True
        names = {output.name for output in self.outputs}
        return len(names) == len(self.outputs) and names <= {spec.name for spec in signature.outputs}


def _document(text: bytes, *, is_whole: bool) -> dict[str, Any]:
    """The JSON of a request. ``is_whole``: no header says where it ends. Raises InvalidArgument if it is no object."""
    try:
        document = parse_json(text, strict=True)
    except InvalidArgument as error:
        raise _with_header(error, None if is_whole else len(text)) from None
    if isinstance(document, dict):
        return document
    problems = Problems()
    form.read_members(form.REQUEST, document, (), problems)
    raise problems.invalid_argument(_NO_REQUEST)


def _load(inputs: Sequence[Mapping[str, Any]], binary: memoryview, signature: Signature) -> dict[str, Array] | None:
    """The tensors of ``inputs``, each once and none missing, and all of ``binary`` used; or None."""
    specs = {spec.name: spec for spec in signature.inputs}
    tensors: dict[str, Array] = {}
    at = 0
    for given in inputs:
        name, size = given["name"], tensor.binary_size(given)
        spec = specs.pop(name, None)
        data = None if size is None else binary[at : at + size]
        array = None if spec is None else tensor.input_tensor(given, data, spec)
        if array is None:
            return None
        tensors[name] = array
        at += size or 0
    is_complete = at == len(binary) and all(spec.has_default for spec in specs.values())
    return tensors if is_complete else None


def _requested(outputs: Any, default: bool) -> tuple[RequestedOutput, ...]:
    """The outputs that are objects, in a request that may have any problem; one without a name gets an empty one."""
    requested = []
    for output in outputs if isinstance(outputs, list) else ():
        if isinstance(output, dict):
            name, parameters = output.get("name"), output.get("parameters")
            binary = parameters.get("binary_data") if isinstance(parameters, dict) else None
            requested.append(RequestedOutput(name if isinstance(name, str) else "", default if binary is None else binary))
    return tuple(requested)


def _with_header(error: InvalidArgument, json_bytes: int | None) -> GatewayError:
    """``error``, and what it has to do with the header that says how many bytes are JSON.

    Without it (None) that is how binary data is sent, if the error says that something follows the JSON.
    """
    if json_bytes is not None:
        told = f"The JSON is the first {json_bytes} of the body's bytes, as the header {HEADER_LENGTH} says"
        return error if error.problems else with_lines(error, [told])
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
