"""What a refusal says after its own words: what works instead, with an example for the model.

Only refused requests come here. The text is bounded, and made from what the catalog remembers.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import quote

from gateway.api import address
from gateway.api.advice.foreign_body import ForeignBody
from gateway.api.samples.model import DocumentedModel, has_array_form, takes_one_string
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


@dataclass(frozen=True, slots=True)
class Refused:
    """A call for ``model`` that is refused with ``error``.

    No frame that the error came through may keep one: the two would be a cycle that holds the request's body.
    """

    call: Call
    error: GatewayError
    model: ModelRef


class Advisor:
    """Explains refusals. It keeps nothing of a request."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def documented(self, refused: Refused) -> DocumentedModel | None:
        """The version of the model that was asked for; None if it is not known within 0.25 s."""
        call = refused.call
        try:
            served = await self._catalog.served(refused.model, call.deadline.at_most(_LOOK_UP_S))
        except GatewayError:
            return None
        return DocumentedModel(served, address.gateway_address(call), needs_key=call.caller.name is not None)

    async def explained(self, refused: Refused, name: str, foreign: ForeignBody | None, lines: Lines) -> GatewayError:
        """The error with what its body looks like (``foreign``), and ``lines`` for the signature ``name`` or another one."""
        model = await self.documented(refused)
        suited = () if model is None else model.callable_with(has_array_form)
        takes_numbers = model is not None and not any(map(_has_strings, suited))
        more = [] if foreign is None else [_looks_like(foreign, refused.model.name, takes_numbers)]
        if model is not None and suited:
            more += lines(model, next((signature for signature in suited if signature.name == name), suited[0]))
        elif model is not None and not isinstance(refused.error, Unimplemented):
            more += model.problems[:_MOST_PROBLEMS]
        return suggestions.with_lines(refused.error, filter(None, more))


def signature_for_file(model: DocumentedModel, signature: Signature) -> Signature | None:
    """``signature``, or another one, if its only input is a string, which may be the bytes of a file; None if there is none."""
    return next(filter(takes_one_string, (signature, *model.callable_with(has_array_form))), None)


def _looks_like(foreign: ForeignBody, name: str, takes_numbers: bool) -> str:
    """A sentence on a body that was sent to the model ``name``; ``takes_numbers``: it takes nothing else."""
    remedy = foreign.remedy.format(model=quote(name, safe=""))
    if foreign.is_file:
        remedy = _AS_NUMBERS if takes_numbers else _AS_B64
    return f"The body looks like {foreign.what}: {remedy}"


def _has_strings(signature: Signature) -> bool:
    return any(spec.dtype == dtypes.STRING for spec in signature.inputs)
