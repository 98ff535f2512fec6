"""What a refusal says after its own words: what works instead, with an example for the model.

Only refused requests come here. The text is bounded, and made from what the catalog remembers.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from gateway.api import address
from gateway.api.advice import foreign_body
from gateway.api.advice.foreign_body import ForeignBody
from gateway.api.samples.model import DocumentedModel, has_array_form
from gateway.call import Call
from gateway.errors import GatewayError, Unimplemented
from gateway.inference import dtypes, suggestions
from gateway.inference.catalog import Catalog
from gateway.inference.signature import ModelRef, Signature

Lines: TypeAlias = Callable[[DocumentedModel, Signature], Iterable[str]]
"""The lines to say for a model and one of its signatures that can be called."""

_MOST_PROBLEMS: Final = 3
_LOOK_UP_S: Final = 0.25  # how long a refusal may wait for a model's signatures
_AS_B64: Final = 'a model that takes a string gets its bytes as {"b64": base64 text}'
_AS_NUMBERS: Final = "the model takes numbers: decode it, and send them as JSON, or as npy (but not to /v2)"


class Advisor:
    """Explains refusals. It keeps nothing of a request."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def known(self, call: Call, model: ModelRef) -> DocumentedModel | None:
        """The version that ``model`` means; None if it is not known within 0.25 s."""
        try:
            served = await self._catalog.served(model, call.deadline.at_most(_LOOK_UP_S))
        except GatewayError:
            return None
        return DocumentedModel(served, address=address.of_gateway(call))

    async def explained(self, refused: "Refused", name: str, foreign: ForeignBody | None, lines: Lines) -> GatewayError:
        """The error with what its body looks like (``foreign``), and ``lines`` for the signature ``name`` or another one."""
        known = await self.known(refused.call, refused.model)
        signature = None if known is None else chosen(known, name)
        more = [] if foreign is None else [about(foreign, refused.model.name, known)]
        if known is not None and signature is not None:
            more += lines(known, signature)
        elif known is not None and not isinstance(refused.error, Unimplemented):
            more += known.problems[:_MOST_PROBLEMS]
        return suggestions.with_lines(refused.error, filter(None, more))


@dataclass(frozen=True, slots=True)
class Refused:
    """A call for ``model`` that is refused with ``error``.

    No frame that the error came through may keep one: the two would be a cycle that holds the request's body.
    """

    call: Call
    error: GatewayError
    model: ModelRef


def foreign_bytes(call: Call, data: bytes) -> ForeignBody | None:
    """What the body of ``call``, ``data``, looks like, given that it is no JSON object."""
    return foreign_body.of_bytes(data, call.media_type)


def foreign_object(call: Call, document: Mapping[str, Any], data: bytes) -> ForeignBody | None:
    """What the body ``data`` of ``call``, which begins with the JSON object ``document``, looks like."""
    foreign = foreign_body.of_document(document)
    if foreign is None and foreign_bytes(call, data) is foreign_body.LINES:
        return foreign_body.LINES
    return foreign


def chosen(known: DocumentedModel, name: str) -> Signature | None:
    """The signature ``name`` if it can be called, otherwise the first that can."""
    suited = known.callable_with(has_array_form)
    return next((signature for signature in suited if signature.name == name), suited[0] if suited else None)


def signature_for_file(known: DocumentedModel, signature: Signature) -> Signature | None:
    """``signature``, or another one, if its only input is a string, which may be the bytes of a file; None if there is none."""
    suited = (signature, *known.callable_with(has_array_form))
    return next((one for one in suited if [spec.dtype for spec in one.inputs] == [dtypes.STRING]), None)


def about(foreign: ForeignBody, name: str, known: DocumentedModel | None) -> str:
    """A sentence on a foreign body that was sent to the model ``name``."""
    if foreign.is_file:
        takes_numbers = known is not None and not any(map(_has_strings, known.callable_with(has_array_form)))
        remedy = _AS_NUMBERS if takes_numbers else _AS_B64
    else:
        remedy = f"POST it to {foreign.route}" if foreign.route else foreign.remedy
        remedy = remedy.format(model=quote(name, safe=""))
    return f"The body looks like {foreign.what}: {remedy}"


def _has_strings(signature: Signature) -> bool:
    return any(spec.dtype == dtypes.STRING for spec in signature.inputs)
