"""A request for inference in the Open Inference Protocol: JSON, the binary data behind it, and the tensors they make together.

What is wrong is looked for everywhere and told in one answer. The sizes are those that the client gives, and are trusted
nowhere: no array is made before they are known to agree.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.api.openinference import datatypes, form, raw_body, tensor
from gateway.api.openinference import document as infer_document
from gateway.api.openinference.tensor import Given
from gateway.codec import json_text
from gateway.codec.elements import Array
from gateway.codec.number_block import Unfit
from gateway.codec.problems import Problems, cut
from gateway.errors import InvalidArgument, Unimplemented
from gateway.inference.hints import refuse_composite
from gateway.inference.signature import DEFAULT_SIGNATURE, Signature, TensorSpec

HEADER_LENGTH: Final = "Inference-Header-Content-Length"
_MAX_NAMES: Final = 200  # characters of names in a message or a log
# Extensions of Triton's that change where the data is, or what it means: to ignore them would give a wrong answer.
_NOT_SERVED: Final = ("classification", "shared_memory_region")
_RAW: Final[dict[str, Any]] = {"inputs": [], "parameters": {"binary_data_output": True}}


@dataclass(frozen=True, slots=True)
class RequestedOutput:
    """An output that the client wants, and whether as binary data."""

    name: str
    binary: bool


def json_length(header_length: str | None, body_bytes: int) -> int:
    """How many bytes of a body are JSON, by the header of that name (None: all). Raises InvalidArgument if it does not fit."""
    if header_length is None:
        return body_bytes
    if header_length.isascii() and header_length.isdigit() and len(header_length) < 20 and int(header_length) <= body_bytes:
        return int(header_length)
    got = cut(header_length, 40)
    raise InvalidArgument(f'{HEADER_LENGTH}: expected the length of the JSON, from 0 to {body_bytes}, got "{got}"')


class InferRequest:
    """One request. ``tensors`` may be asked for more than one signature. Not thread-safe."""

    def __init__(self, body: bytes, header_length: str | None) -> None:
        """``header_length`` as for ``json_length``; if it is 0, the body is the data of the only input, and the outputs are
        wanted in the same way.

        Raises InvalidArgument for a body that is no JSON object, and for a header that does not fit the body.
        """
        length = json_length(header_length, len(body))
        self._binary = memoryview(body)[length:]
        self._is_raw = header_length is not None and not length
        self._json = body[:length]
        self._read(_RAW if self._is_raw else infer_document.parse(self._json))

    @property
    def id(self) -> str | None:
        """The client's own name for the request."""
        return self._members.get("id")

    @property
    def signature(self) -> str:
        """The signature that the parameter ``signature_name`` asks for."""
        return cut(self._parameters.get(form.SIGNATURE_NAME) or DEFAULT_SIGNATURE, _MAX_NAMES)

    @property
    def document(self) -> Any:
        """The JSON, as Python has it, or None if there is none: for a request that was refused."""
        return None if self._is_raw else json_text.parse(self._json)

    @property
    def binary_output(self) -> bool:
        """Whether outputs that do not say otherwise are wanted as binary data."""
        return bool(self._parameters.get("binary_data_output"))

    def outputs(self) -> tuple[RequestedOutput, ...]:
        """The outputs asked for, in the client's order (none: all). Complete only once ``tensors`` has found nothing wrong."""
        return tuple(_requested(members, self.binary_output) for _, members in self._outputs(Problems()) if "name" in members)

    def tensors(self, signature: Signature) -> dict[str, Array]:
        """The input tensors, which fit ``signature``.

        Raises:
            InvalidArgument: the request does not fit; it holds every problem.
            Unimplemented: the protocol has no datatype for one of the tensors, or one of them is no plain tensor.
        """
        try:
            return self._tensors(signature)
        except Unfit:
            self._read(json_text.parse(self._json))
        return self._tensors(signature)

    def _read(self, document: Any) -> None:
        self._form_problems = Problems()
        self._members = form.read(form.REQUEST, document, (), self._form_problems)
        if not isinstance(document, dict):
            raise self._form_problems.invalid_argument("this is no inference request:")

    def _tensors(self, signature: Signature) -> dict[str, Array]:
        _refuse_unsupported(signature, signature.inputs)
        if not signature.is_plain:
            refuse_composite(signature, self._wanted(signature))
        problems = Problems()
        problems.extend(self._form_problems, lambda place: place)
        self._check_outputs(signature, problems)
        tensors = self._load(signature, problems)
        if problems.count:
            raise problems.invalid_argument(f"the request does not fit the signature {signature.name}:")
        _refuse_unsupported(signature, self._wanted(signature))
        return tensors

    @property
    def _parameters(self) -> Mapping[str, Any]:
        return self._members.get("parameters") or {}

    def _load(self, signature: Signature, problems: Problems) -> dict[str, Array]:
        specs = {spec.name: spec for spec in signature.inputs}
        tensors: dict[str, Array] = {}
        seen: set[str] = set()
        items, binary = self._members.get("inputs", []), self._binary
        if self._is_raw:
            described, binary = raw_body.input_of(signature, self._binary)
            items = [described]
        for given in _inputs(items, binary, problems):
            spec = _spec(given, specs, seen, problems)
            array = tensor.load(given, spec, problems) if spec else None
            if spec and array is not None:
                tensors[spec.name] = array
        if "inputs" in self._members:
            _check_complete(specs, seen, problems)
        return tensors

    def _outputs(self, problems: Problems) -> Iterator[tuple[form.Path, dict[str, Any]]]:
        for index, item in enumerate(self._members.get("outputs") or ()):
            if not problems.room:
                return
            path = ("outputs", index)
            _refuse_extensions(item, path, problems)
            yield path, form.read(form.OUTPUT, item, path, problems)

    def _check_outputs(self, signature: Signature, problems: Problems) -> None:
        known = [spec.name for spec in signature.outputs]
        seen: set[str] = set()
        for path, members in self._outputs(problems):
            name = members.get("name")
            if name is None:
                continue
            if name not in known:
                problems.add((*path, "name"), f"one of the outputs {_names(known)}", name)
            elif name in seen:
                problems.add((*path, "name"), "each output once", name)
            seen.add(name)

    def _wanted(self, signature: Signature) -> list[TensorSpec]:
        names = {output.name for output in self.outputs()}
        return [spec for spec in signature.outputs if not names or spec.name in names]


def _inputs(items: list[Any], binary: memoryview, problems: Problems) -> Iterator[Given]:
    """Every input, with its share of the binary data; and at the end a problem if the shares are not the whole."""
    at = 0
    for index, item in enumerate(items):
        if not problems.room:
            return
        path = ("inputs", index)
        members = form.read(form.INPUT, item, path, problems)
        _refuse_extensions(item, path, problems)
        size = (members.get("parameters") or {}).get("binary_data_size")
        yield Given(members, path, None if size is None else binary[at : at + size])
        at += size or 0
    if at != len(binary):
        end = f"{at} bytes of binary data after the JSON, whose length the header {HEADER_LENGTH} gives"
        problems.note((), end, f"{len(binary)} bytes")


def _requested(members: Mapping[str, Any], default: bool) -> RequestedOutput:
    binary = (members.get("parameters") or {}).get("binary_data")
    return RequestedOutput(members["name"], default if binary is None else binary)


def _spec(given: Given, specs: Mapping[str, TensorSpec], seen: set[str], problems: Problems) -> TensorSpec | None:
    """The declaration of an input, or None if it has none to be held against."""
    name, place = given.members.get("name"), (*given.path, "name")
    if name is None:
        return None
    if name not in specs:
        problems.add(place, f"one of the inputs {_names(specs)}", name)
        return None
    if name in seen:
        problems.add(place, "each input once", name)
        return None
    seen.add(name)
    return specs[name]


def _check_complete(specs: Mapping[str, TensorSpec], seen: set[str], problems: Problems) -> None:
    for spec in specs.values():
        if spec.name not in seen and not spec.has_default:
            problems.note(("inputs",), f"an input {cut(spec.name, _MAX_NAMES)}, {tensor.declared(spec)}", "nothing")


def _refuse_extensions(item: Any, path: form.Path, problems: Problems) -> None:
    parameters = item.get("parameters") if isinstance(item, dict) else None
    if not isinstance(parameters, dict):
        return
    for name in (name for name in _NOT_SERVED if name in parameters):
        problems.add((*path, "parameters", name), "nothing, as this extension is not served here", parameters[name])


def _refuse_unsupported(signature: Signature, specs: Sequence[TensorSpec]) -> None:
    refuse_composite(signature, specs)
    for spec in specs:
        if not datatypes.is_supported(spec.dtype):
            raise Unimplemented(f"the tensor {spec.name} is {spec.dtype}, for which the protocol has no datatype")


def _names(names: Iterable[str]) -> str:
    return cut(", ".join(names), _MAX_NAMES) or "(there are none)"
