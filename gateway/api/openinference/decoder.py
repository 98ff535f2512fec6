"""A good inference request as values.

``decode`` recognises the common request in one step, and gives None for any other. ``load`` decides what is accepted, by the
form. A request that ``decode`` accepts, ``load`` accepts too, with the same values.
"""

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from gateway.api.openinference import form, strictness
from gateway.codec.large_json import NumberBlock, parse_large_json
from gateway.codec.nested_lists import MAX_RANK
from gateway.codec.problems import Problems

BINARY_SIZE: Final = "binary_data_size"

_NAME: Final = 2  # the quotation marks of a name
_TEXT: Final = 4  # those of a member that is a string
_WITHOUT_QUOTES: Final = frozenset((bool, int, float, type(None)))
_REFUSALS: Final = (msgspec.MsgspecError, ValueError, RecursionError)


class Input(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One of ``inputs``. ``data`` is as JSON has it, or a NumberBlock; it is None if the data is binary."""

    name: str
    datatype: str
    shape: Annotated[list[Annotated[int, Meta(ge=0, le=form.MAX_SIZE)]], Meta(max_length=MAX_RANK)]
    parameters: dict[str, Any] | None = None
    data: Any = None


class Output(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One of ``outputs``: a tensor that the client wants."""

    name: str
    parameters: dict[str, Any] | None = None


class Request(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A whole request. None stands for a member that was left out."""

    inputs: Annotated[list[Input], Meta(max_length=form.MAX_TENSORS)]
    id: str | None = None
    model_name: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: Annotated[list[Output], Meta(max_length=form.MAX_TENSORS)] | None = None


_DECODER: Final = msgspec.json.Decoder(Request)


def decode(text: bytes) -> Request | None:
    """The request that ``text`` holds, with NumberBlocks for large lists of numbers; None if only ``load`` can tell."""
    try:
        document = parse_large_json(text, strict=True)
        if document is not None:
            request = msgspec.convert(document, Request)
            _quotes(request)
            return None if _has_misplaced(request) else request
        request = _DECODER.decode(text)
        # msgspec takes the last of two equal names: one name more needs quotation marks that the others leave none for.
        return request if _quotes_of(text) == _quotes(request) else None
    except _REFUSALS:
        return None


def load(document: Any) -> Request | None:
    """The request that ``document`` (JSON, read strictly) holds; None if there is any problem with its form."""
    problems = Problems()
    members = form.read(form.REQUEST, document, (), problems)
    inputs = [form.read(form.INPUT, item, (), problems) for item in members.get("inputs", ()) if not problems.count]
    outputs = [form.read(form.OUTPUT, item, (), problems) for item in members.get("outputs") or () if not problems.count]
    if problems.count:
        return None
    members["inputs"] = [Input(**item) for item in inputs]
    if members.get("outputs") is not None:
        members["outputs"] = [Output(**item) for item in outputs]
    return Request(**members)


def has_blocks(request: Request) -> bool:
    """Whether some data is a NumberBlock: the form may accept lists of numbers that no block is made of."""
    return any(isinstance(given.data, NumberBlock) for given in request.inputs)


def binary_size(given: Input) -> int | None:
    """How many bytes of binary data ``given`` has; None: its data is JSON."""
    return given.parameters.get(BINARY_SIZE) if given.parameters else None


def _has_misplaced(request: Request) -> bool:
    items = (request, *request.inputs, *(request.outputs or ()))
    return any(next(strictness.misplaced(item.parameters), None) for item in items if item.parameters)


def _quotes_of(text: bytes) -> int:
    """The quotation marks in ``text``, without those within strings where that can be told at a glance."""
    count = text.count(b'"')
    return count if b"\\" not in text or b"\\\\" in text else count - text.count(b'\\"')


def _quotes(request: Request) -> int:
    """The quotation marks that the names and strings of ``request`` take at the least.

    Raises ValueError for what ``load`` must look at: a parameter that has a meaning here and is not as the form has it, or a
    shape that cannot be counted.
    """
    count = _NAME + _TEXT * ((request.id is not None) + (request.model_name is not None))
    if request.parameters is not None:
        _check(bool, request.parameters.get("binary_data_output"))
        _check(str, request.parameters.get(form.SIGNATURE_NAME))
        count += _NAME + _value_quotes(request.parameters)
    for given in request.inputs:
        count += 2 * _TEXT + _NAME
        if not form.is_countable(given.shape):
            raise ValueError(given.shape)
        if given.parameters is not None:
            count += _tensor_quotes(given.parameters, BINARY_SIZE, int)
        if given.data is not None:
            count += _NAME + _data_quotes(given.data)
    if request.outputs is not None:
        count += _NAME
        for output in request.outputs:
            count += _TEXT
            if output.parameters is not None:
                count += _tensor_quotes(output.parameters, "binary_data", bool)
    return count


def _tensor_quotes(parameters: dict[str, Any], name: str, kind: type) -> int:
    """As ``_quotes``, for the parameters of a tensor, of which ``name`` has a meaning."""
    value = parameters.get(name)
    _check(kind, value)
    if not form.NOT_SERVED.isdisjoint(parameters) or (kind is int and not 0 <= (value or 0) <= form.MAX_SIZE):
        raise ValueError(parameters)
    return _NAME + _value_quotes(parameters)


def _check(kind: type, value: Any) -> None:
    if value is not None and type(value) is not kind:
        raise ValueError(value)


def _data_quotes(data: Any) -> int:
    """As ``_value_quotes``, but 0 for data that begins with a number: then it is all numbers, or is refused anyway."""
    first = data
    while type(first) is list and first:
        first = first[0]
    return _value_quotes(data) if type(first) in (str, dict) else 0


def _value_quotes(value: Any) -> int:
    if type(value) is dict:
        count = _NAME * len(value)
        for item in value.values():
            if type(item) not in _WITHOUT_QUOTES:
                count += _value_quotes(item)
        return count
    if type(value) is list:
        return 2 * len(value) if set(map(type, value)) == {str} else sum(map(_value_quotes, value))
    return 2 if type(value) is str else 0
