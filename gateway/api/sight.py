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


def default_model(call: Call, catalog: Catalog, preferred: str) -> str:
    """The model of a call that names none: ``preferred``, or else the only one of the config file; empty if there is none.

    Models that the caller may not know of do not count.
    """
    if preferred and call.caller.may_see(preferred):
        return preferred
    models = visible(call, catalog.configured())
    return models[0].name if len(models) == 1 else ""


def require_sight(call: Call, model: ModelRef, catalog: Catalog, *, is_status: bool = False) -> None:
    """Raise what the model server answers for a model that it does not have, if the caller may not know of ``model``.

    ``is_status``: as the answer to a question for its status, otherwise for its metadata.
    """
    if not call.caller.may_see(model.name):
        raise unserved(model, catalog.models(), is_status=is_status)
