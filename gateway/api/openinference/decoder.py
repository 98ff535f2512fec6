"""The common inference request, checked and decoded in one step. For any other, the form decides what is accepted.

Whatever ``decode_request`` accepts, the form accepts too, with the same members.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Final, Required, TypedDict

import msgspec
from msgspec import Meta

from gateway.api.openinference import form
from gateway.codec.large_json import parse_large_json
from gateway.codec.nested_lists import MAX_RANK

_PAIR: Final = 2  # the quotation marks of a name or of a string
_WITHOUT_QUOTES: Final = frozenset((bool, int, type(None)))
_REFUSALS: Final = (msgspec.MsgspecError, ValueError, RecursionError)


class _Input(TypedDict, total=False):
    name: Required[str]
    datatype: Required[str]
    shape: Required[Annotated[list[Annotated[int, Meta(ge=0, le=form.MAX_SIZE)]], Meta(max_length=MAX_RANK)]]
    parameters: dict[str, Any] | None
    data: Any


class _Output(TypedDict, total=False):
    name: Required[str]
    parameters: dict[str, Any] | None


class _Request(TypedDict, total=False):
    inputs: Required[Annotated[list[_Input], Meta(max_length=form.MAX_TENSORS)]]
    id: str | None
    model_name: str | None
    parameters: dict[str, Any] | None
    outputs: Annotated[list[_Output], Meta(max_length=form.MAX_TENSORS)] | None


_DECODER: Final = msgspec.json.Decoder(_Request)


def decode_request(text: bytes) -> dict[str, Any] | None:
    """The request that ``text`` holds, with NumberBlocks for large lists of numbers; None if only the form can tell."""
    try:
        document: Any = parse_large_json(text, strict=True)
        request: Any = _DECODER.decode(text) if document is None else msgspec.convert(document, _Request)
        # msgspec drops unknown names, and the first of two equal ones: each leaves quotation marks over.
        quotes = _quotes_of_text(text) if document is None else _quotes_of_request(document)
        return request if quotes == _quotes_of_request(request) else None
    except _REFUSALS:
        return None


def _quotes_of_text(text: bytes) -> int:
    """The quotation marks in ``text``, without those within strings where that can be told at a glance."""
    count = text.count(b'"')
    return count if b"\\" not in text or b"\\\\" in text else count - text.count(b'\\"')


def _quotes_of_request(request: _Request) -> int:
    """The quotation marks that the names and strings of ``request`` need.

    Raises ValueError for what the types leave open: the parameters that have a meaning, and shapes that cannot be counted.
    """
    texts = (request.get("id") is not None) + (request.get("model_name") is not None)
    count = _PAIR * (len(request) + texts) + _quotes_of_parameters(request, form.REQUEST_PARAMETERS)
    for given in request["inputs"]:
        if not form.is_countable(given["shape"]):
            raise ValueError("a shape that cannot be counted")
        count += _PAIR * (len(given) + 2) + _quotes_of_parameters(given, form.INPUT_PARAMETERS)
        count += _quotes_of_data(given.get("data"))
    for output in request.get("outputs") or ():
        count += _PAIR * (len(output) + 1) + _quotes_of_parameters(output, form.OUTPUT_PARAMETERS)
    return count


def _quotes_of_parameters(members: Mapping[str, Any], known: Mapping[str, form.Member]) -> int:
    parameters = members.get("parameters")
    if not parameters:
        return 0
    for name, member in known.items():
        if name in parameters and not member.fits(parameters[name]):
            raise ValueError("a parameter that does not have its meaning")
    return _quotes(parameters)


def _quotes_of_data(data: Any) -> int:
    """0 for data that begins with a number: then it is all numbers, or is refused anyway."""
    first = data
    while type(first) is list and first:
        first = first[0]
    return _quotes(data) if type(first) in (str, dict) else 0


def _quotes(value: Any) -> int:
    """The quotation marks of a JSON value. Raises ValueError for a number that is not finite."""
    kind = type(value)
    if kind is str:
        return _PAIR
    if kind is dict:
        count = _PAIR * len(value)
        for item in value.values():
            if type(item) not in _WITHOUT_QUOTES:
                count += _quotes(item)
        return count
    if kind is list:
        return _PAIR * len(value) if set(map(type, value)) == {str} else sum(map(_quotes, value))
    if kind is float and not math.isfinite(value):
        raise ValueError("a number that JSON does not have")
    return 0
