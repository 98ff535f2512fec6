"""The OpenAPI 3.1 document, made from the signatures of the models that are served at the moment."""

import re
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

from gateway.api.docs import json_schema, openinference, ops, responses, simple, tfserving
from gateway.api.docs.json_schema import Json
from gateway.api.openinference.routes import SERVER_NAME, SERVER_VERSION
from gateway.api.samples.model import DocumentedModel
from gateway.codec.json_output import NonFinite
from gateway.inference.signature import ServedModel
from gateway.inference.status import ModelStatus

VERSION: Final = "3.1.0"

_TAKEN: Final = frozenset(("any", "any_version", "any_label"))
_NOT_A_WORD: Final = re.compile(r"\W+", re.ASCII)
_ABOUT: Final = (
    "Every path of a model is made from the signature of the version that answers now. Each answer has `X-Request-Id`: the "
    "client's own, or a new one. A body may have at most {max_body_bytes} bytes, gzip undone; above that the answer is 413. A "
    "request gets its answer, or 504, within {timeout_ms:.0f} ms. Every 400 names what is wrong and where. In an answer, a "
    "number that is not finite is `null`, but {non_finite}."
)
_NON_FINITE: Final[dict[NonFinite, str]] = {
    "tokens": "under /v1 it is `NaN`, `Infinity` or `-Infinity`, as TensorFlow Serving writes it, which is no JSON",
    "null": "in npy, npz and binary data",
    "error": "under /v1 the answer is an error then",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What the document says about all models: the limits of a request, and how /v1 writes numbers that are not finite."""

    max_body_bytes: int
    timeout_s: float
    non_finite: NonFinite


@dataclass(frozen=True, slots=True)
class Served:
    """What there is to document: the models that answer, each in the version that answers, and the state of all models.

    ``default`` is the name of the model of a bare /predict. ``not_joined``: by model and signature, why requests for it are
    never joined into batches.
    """

    models: tuple[ServedModel, ...]
    statuses: tuple[ModelStatus, ...]
    default: str
    not_joined: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def document(served: Served, limits: Limits) -> Json:
    """The document; it depends on nothing but the arguments."""
    models = _documented(served)
    about = _ABOUT.format(
        max_body_bytes=limits.max_body_bytes,
        timeout_ms=limits.timeout_s * 1000,
        non_finite=_NON_FINITE[limits.non_finite],
    )
    return {
        "openapi": VERSION,
        "info": {"title": SERVER_NAME, "version": SERVER_VERSION, "description": about},
        "servers": [{"url": "/"}],
        "tags": [*map(_tag, models), *_not_ready(served.statuses, models), *_TAGS],
        "paths": dict(_paths(models, served.default)),
        "components": {
            "schemas": json_schema.any_rank_schemas() | responses.error_schemas(),
            "headers": responses.HEADERS,
            "responses": responses.refusal_responses(),
        },
    }


_TAGS: Final = [
    {"name": simple.TAG, "description": simple.ABOUT},
    {"name": tfserving.TAG, "description": tfserving.ABOUT},
    {"name": openinference.TAG, "description": openinference.ABOUT},
    {"name": ops.TAG, "description": ops.ABOUT},
]


def _documented(served: Served) -> list[DocumentedModel]:
    available = {status.name: status.available for status in served.statuses}
    models: list[DocumentedModel] = []
    taken = set(_TAKEN)
    for model in served.models:
        others = tuple(version for version in available.get(model.name, ()) if version != model.version)
        identifier = _identifier(model.name, taken)
        taken.add(identifier)
        models.append(DocumentedModel(model, others, identifier, served.not_joined.get(model.name, {})))
    return models


def _identifier(name: str, taken: AbstractSet[str]) -> str:
    """``name`` as an identifier that generated clients can use, unlike those ``taken``."""
    plain = _NOT_A_WORD.sub("_", name)
    number = 1
    while (identifier := plain if number == 1 else f"{plain}_{number}") in taken:
        number += 1
    return identifier


def _tag(model: DocumentedModel) -> Json:
    tag: Json = {"name": model.name, "description": model.summary()}
    if model.is_one_segment:
        tag["externalDocs"] = {"description": "curl and Python", "url": f"/docs/models/{model.in_path}"}
    return tag


def _not_ready(statuses: Iterable[ModelStatus], models: Iterable[DocumentedModel]) -> Iterator[Json]:
    documented = {model.name for model in models}
    for status in statuses:
        if status.name not in documented:
            reasons = "; ".join(status.problems) or "its signatures are not known yet"
            yield {"name": status.name, "description": f"Not ready: {reasons}"}


def _paths(models: list[DocumentedModel], default: str) -> Iterator[tuple[str, Json]]:
    example = models[0].served if models else ServedModel("model", 1, {})
    for model in models:
        yield from simple.of_model(model)
        yield from tfserving.of_model(model)
        yield from openinference.of_model(model)
    chosen = next((model for model in models if model.name == default), None)
    yield from simple.of_any_model(example.name, chosen)
    yield from tfserving.of_any_model(example.name, example.version)
    yield from openinference.of_any_model(example.name, example.version)
    yield from ops.paths(example.name)
