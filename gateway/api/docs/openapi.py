"""The OpenAPI 3.1 document, made from the signatures of the models that are served at the moment.

``static/openapi.json`` holds what depends on no model, with the routes that take the model as a parameter. Those that also take
a version or a label, and those of each model, are made from these. The refusals are made from the error tree.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import orjson

from gateway.api.docs import refusals, security
from gateway.api.docs.custom_container import add_contract
from gateway.api.docs.json_schema import Json, any_rank_schemas
from gateway.api.docs.model_paths import default_model_path, model_paths, path_item
from gateway.api.docs.page import STATIC
from gateway.api.openinference.routes import SERVER_NAME, SERVER_VERSION
from gateway.api.samples.model import DocumentedModel
from gateway.codec.json_output import NonFinite
from gateway.container_contract import ContainerContract
from gateway.inference.signature import ServedModel, Signature, TensorSpec
from gateway.inference.status import ModelStatus
from gateway.inference.suggestions import why_not_callable

_TEMPLATE: Final = STATIC.joinpath("openapi.json").read_bytes()
_TAKEN: Final = frozenset(("any", "any_version", "any_label"))
_NOT_A_WORD: Final = re.compile(r"\W+", re.ASCII)
_NON_FINITE: Final[dict[NonFinite, str]] = {
    "tokens": "under /v1 it is `NaN`, `Infinity` or `-Infinity`, as TensorFlow Serving writes it, which is no JSON",
    "null": "in npy, npz and binary data",
    "error": "under /v1 the answer is an error then",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What the document says about all models: the limits of a request, and how /v1 writes numbers that are not finite.

    ``needs_key``: requests need a key; ``metrics_need_key``: those for the metrics too. ``contract``: whose container this is.
    """

    max_body_bytes: int
    timeout_s: float
    non_finite: NonFinite
    needs_key: bool = False
    metrics_need_key: bool = False
    contract: ContainerContract | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """What there is to document: the models that answer, each in the version that answers, and the state of all models.

    ``default`` is the name of the model of a bare /predict. ``not_joined``: by model and signature, why requests for it are
    never joined into batches.
    """

    models: tuple[ServedModel, ...]
    statuses: tuple[ModelStatus, ...]
    default: str
    not_joined: Mapping[str, Mapping[str, str]] = field(default_factory=dict, hash=False)


@lru_cache(maxsize=8)
def openapi_json(served: Served, limits: Limits) -> bytes:
    """The document as JSON, which is remembered for the last arguments. Keys that may see the same models share one."""
    return orjson.dumps(openapi_document(served, limits))


def openapi_document(served: Served, limits: Limits) -> Json:
    """The document; it depends on nothing but the arguments."""
    made: Json = orjson.loads(_TEMPLATE)
    paths, components, models = made["paths"], made["components"], list(map(DocumentedModel, served.models))
    about = made["info"]["description"].format(
        max_body_bytes=limits.max_body_bytes,
        timeout_ms=limits.timeout_s * 1000,
        non_finite=_NON_FINITE[limits.non_finite],
    )
    made["info"] = {"title": SERVER_NAME, "version": SERVER_VERSION, "description": about}
    made["tags"] = [*_tags(served, models), *made["tags"]]
    if models:
        _set_examples(components["parameters"], models[0].served)
    for path, item in paths.items():
        for operation in item.values():
            refusals.complete_responses(path, operation)
    if limits.needs_key:
        security.declare(made, metrics_are_open=not limits.metrics_need_key)
    default = next((model for model in models if model.name == served.default), None)
    paths["/predict"] = default_model_path(paths["/predict"], default, components["schemas"])
    if limits.contract is not None:
        add_contract(made, limits.contract)
    made["paths"] = dict(_every_path(paths, models, components))
    components["schemas"] |= any_rank_schemas()
    components["responses"] = refusals.refusal_responses()
    return made


def _tags(served: Served, models: list[DocumentedModel]) -> Iterator[Json]:
    """The models that answer, then those that are not ready."""
    statuses = {status.name: status for status in served.statuses}
    for model in models:
        status = statuses.pop(model.name, ModelStatus(model.name))
        text = _description(model, status, served.not_joined.get(model.name, {}))
        link = {"description": "curl and Python", "url": f"/docs/models/{model.in_path}"}
        yield {"name": model.name, "description": text} | ({"externalDocs": link} if model.is_one_segment else {})
    for status in statuses.values():
        problems = "; ".join(status.problems) or "its signatures are not known yet"
        yield {"name": status.name, "description": f"Not ready: {problems}"}


def _description(model: DocumentedModel, status: ModelStatus, not_joined: Mapping[str, str]) -> str:
    """The versions and the signatures, in Markdown."""
    others = ", ".join(str(version) for version in status.available if version != model.served.version)
    head = f"Version {model.served.version}{f' (also served: {others})' if others else ''}. Signatures:"
    lines = [head, "", *map(_signature_line, model.signatures)]
    if not_joined:
        lines += ["", "Requests are not joined into batches:", "", *(f"- `{name}`: {why}" for name, why in not_joined.items())]
    return "\n".join(lines)


def _signature_line(signature: Signature) -> str:
    """Name, inputs and outputs."""
    inputs, outputs = (", ".join(map(_tensor, specs)) or "nothing" for specs in (signature.inputs, signature.outputs))
    reason = "" if signature.is_plain else f" (cannot be called: {why_not_callable(signature)})"
    return f"- `{signature.name}`: {inputs} → {outputs}{reason}"


def _tensor(spec: TensorSpec) -> str:
    return f"`{spec.name}` {spec}" + (" (has a default)" if spec.has_default else "")


def _set_examples(parameters: Json, model: ServedModel) -> None:
    """Make ``model`` the example of the parameters of paths."""
    values = {"model": model.name, "version": model.version}
    for parameter in parameters.values():
        if parameter["name"] in values:
            # A version is a number under /v1, and a string under /v2.
            parameter["example"] = type(parameter["example"])(values[parameter["name"]])


def _every_path(paths: Json, models: list[DocumentedModel], components: Json) -> Iterator[tuple[str, Json]]:
    """The paths of each model, those that take the model as a parameter or name none, and those for versions and labels."""
    parameters = components["parameters"]
    of_any = {path: item for path, item in paths.items() if _operation_id(item).endswith("_any")}
    taken = set(_TAKEN)
    for model in models:
        identifier = _identifier(model.name, taken)
        taken.add(identifier)
        yield from model_paths(model, identifier, of_any, components["schemas"])
    for path, item in paths.items():
        yield path, _with_parameters(path, item, parameters)
    for kind in ("version", "label"):
        for path, item in of_any.items():
            if f"{_first_segment(path)}.{kind}" in parameters:
                longer = path.replace("{model}", f"{{model}}/{kind}s/{{{kind}}}")
                yield longer, _with_parameters(longer, path_item(item, f"any_{kind}"), parameters)


def _with_parameters(path: str, item: Json, parameters: Json) -> Json:
    """``item`` with what describes the parameters of ``path``: those of its dialect, or else of any path."""
    names = [(f"{_first_segment(path)}.{name}", name) for name in re.findall(r"{(\w+)}", path)]
    found = [own if own in parameters else name for own, name in names]
    shared = [{"$ref": f"#/components/parameters/{name}"} for name in found]
    return {"parameters": shared, **item} if shared else item


def _identifier(name: str, taken: set[str]) -> str:
    """``name`` as an identifier that generated clients can use, unlike those ``taken``."""
    plain = _NOT_A_WORD.sub("_", name)
    number = 1
    while (identifier := plain if number == 1 else f"{plain}_{number}") in taken:
        number += 1
    return identifier


def _operation_id(item: Json) -> Any:
    return next(iter(item.values()))["operationId"]


def _first_segment(path: str) -> str:
    return path.split("/")[1]
