"""Which models the caller of a request may know of. Where there are no keys, everybody may know of all."""

from collections.abc import Sequence

from gateway.call import Call
from gateway.inference.catalog import Catalog
from gateway.inference.signature import ModelRef
from gateway.inference.status import ModelStatus
from gateway.inference.suggestions import unserved


def visible(call: Call, models: Sequence[ModelStatus]) -> tuple[ModelStatus, ...]:
    """Those of ``models`` that the caller may know of."""
    return tuple(model for model in models if call.caller.may_see(model.name))


def require_sight(call: Call, model: ModelRef, catalog: Catalog, *, is_status: bool = False) -> None:
    """Raise what the model server answers for a model that it does not have, if the caller may not know of ``model``.

    ``is_status``: as the answer to a question for its status, otherwise for its metadata.
    """
    if not call.caller.may_see(model.name):
        raise unserved(model, catalog.models(), is_status=is_status)
