"""The paths of one model in the OpenAPI document: those of any model, filled with what its signatures say."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from gateway.api.docs.infer_schemas import infer_answer_schema, infer_request_schema
from gateway.api.docs.json_schema import Json
from gateway.api.docs.predict_schemas import (
    predict_answer_schemas,
    predict_request_schemas,
    simple_prediction_schema,
    simple_request_schema,
)
from gateway.api.errors import JSON
from gateway.api.samples import bodies
from gateway.api.samples.model import METHODS, DocumentedModel, has_compatible_form, has_strict_form
from gateway.api.samples.values import is_guess
from gateway.codec.datatypes import has_datatype
from gateway.inference.signature import DEFAULT_SIGNATURE, Signature

_GUESSED_TEXT: Final = "A guess: the signature does not say what a string must hold."
_GUESSED_FEATURES: Final = "A guess: no signature says which features its examples have."


def model_paths(
    model: DocumentedModel, identifier: str, of_any: Mapping[str, Json], schemas: Json
) -> Iterator[tuple[str, Json]]:
    """The paths of ``model``, made from ``of_any``: the paths that take the model as a parameter.

    ``identifier`` tells its operations from those of other models. ``schemas`` are the components of the document.
    """
    for path, item in of_any.items():
        ((method, operation),) = item.items()
        fill = _FILLS.get(operation["operationId"].removesuffix("_any"))
        made = operation if fill is None else fill(model, operation, schemas)
        # Only the routes under /v1 take a name with a slash.
        if made is not None and (model.is_one_segment or path.startswith("/v1/")):
            yield path.replace("{model}", model.in_path), path_item({method: made | {"tags": [model.name]}}, identifier)


def default_model_path(item: Json, model: DocumentedModel | None, schemas: Json) -> Json:
    """``item``, that of the path that names no model, for the default model."""
    if model is None:
        return item
    operation = _predict_one(model, item["post"], schemas) or item["post"]
    return {"post": operation | {"summary": f"{operation['summary']}, {model.name}"}}


def path_item(item: Json, identifier: str) -> Json:
    """``item``, that of any model, with an operation that has ``identifier``."""
    ((method, operation),) = item.items()
    return {method: operation | {"operationId": f"{operation['operationId'].removesuffix('_any')}_{identifier}"}}


def _predict_one(model: DocumentedModel, operation: Json, schemas: Json) -> Json | None:
    signature = model.default
    if signature is None or signature not in model.callable_with(has_strict_form):
        return None
    answer = copy.deepcopy(schemas["simple.answer"])
    answer["properties"]["prediction"] = simple_prediction_schema(signature)
    return _filled(operation, simple_request_schema(signature), answer, _examples([signature], bodies.simple_body))


def _predict(model: DocumentedModel, operation: Json, schemas: Json) -> Json | None:
    signatures = model.callable_with(has_compatible_form)
    if not signatures:
        return None
    requests = [schema for signature in signatures for schema in predict_request_schemas(signature)]
    answers = [schema for signature in signatures for schema in predict_answer_schemas(signature)]
    examples = {
        f"{signature.name}.{key}": _example(signature, f"{signature.name}: {key}", body)
        for signature in signatures
        for key, body in bodies.predict_bodies(signature).items()
    }
    return _filled(operation, {"oneOf": requests}, {"anyOf": answers} if answers else {}, examples)


def _infer(model: DocumentedModel, operation: Json, schemas: Json) -> Json | None:
    signatures = model.callable_with(has_datatype)
    if not signatures:
        return None
    requests = [infer_request_schema(signature, schemas) for signature in signatures]
    answers = [infer_answer_schema(signature, schemas) for signature in signatures]
    return _filled(operation, {"oneOf": requests}, {"anyOf": answers}, _examples(signatures, bodies.infer_body))


def _take_examples(verb: str, model: DocumentedModel, operation: Json, schemas: Json) -> Json | None:
    """For ``verb``, one of METHODS."""
    signatures = model.of_method(verb)
    if not signatures:
        return None
    names = [signature.name for signature in signatures]
    request = copy.deepcopy(schemas["tfserving.examples"])
    request["properties"]["signature_name"]["enum"] = names
    if DEFAULT_SIGNATURE not in names:
        request["required"].append("signature_name")
    examples = _examples(signatures, partial(bodies.examples_body, model))
    return _filled(operation, request, None, {name: one | {"description": _GUESSED_FEATURES} for name, one in examples.items()})


def _tensors(model: DocumentedModel, operation: Json, schemas: Json) -> Json | None:
    """For the metadata of a signature, which the query names."""
    names = [signature.name for signature in model.signatures]
    if not names:
        return None
    (query,) = operation["parameters"]
    known = {"enum": names if model.default is None else ["", *names]}
    return operation | {"parameters": [query | {"schema": known, "required": model.default is None}]}


_FILLS: Final[dict[str, Callable[[DocumentedModel, Json, Json], Json | None]]] = {
    "predictOne": _predict_one,
    "predict": _predict,
    "infer": _infer,
    "tensors": _tensors,
    **{verb: partial(_take_examples, verb) for verb in METHODS},
}
"""By operation: what fills it for a model, and gives None if the model cannot be called so. The others are as for any model."""


def _filled(operation: Json, request: Json, answer: Json | None, examples: Json) -> Json:
    """``operation`` with these schemas of the body and of the answer (None: that of any model), and examples of the body."""
    made = copy.deepcopy(operation)
    made["requestBody"]["content"][JSON] = {"schema": request} | ({"examples": examples} if examples else {})
    if answer is not None:
        made["responses"]["200"]["content"][JSON]["schema"] = answer
    return made


def _examples(signatures: Iterable[Signature], body: Callable[[Signature], Json | None]) -> Json:
    """An example for each signature that has a sample ``body``, by its name."""
    made = [(signature, body(signature)) for signature in signatures]
    return {signature.name: _example(signature, signature.name, sample) for signature, sample in made if sample is not None}


def _example(signature: Signature, title: str, body: Any) -> Json:
    note = {"description": _GUESSED_TEXT} if is_guess(signature) else {}
    return {"summary": title, "value": body} | note
