"""Requests for a model that can be run as they are: curl and Python, in every dialect that the model can be called in."""

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from gateway.api.arrays import NPY, NPZ
from gateway.api.docs.json_schema import Json
from gateway.api.samples import bodies, numpy_text, values
from gateway.api.samples.model import (
    METHODS,
    DocumentedModel,
    are_supported,
    has_array_form,
    has_compatible_form,
    has_strict_form,
)
from gateway.codec.datatypes import datatype_of, has_datatype
from gateway.inference.signature import DEFAULT_SIGNATURE, Signature

_FORMS: Final = {"instances": ("by rows", "predictions"), "inputs": ("by columns", "outputs")}


@dataclass(frozen=True, slots=True)
class Snippet:
    """A program for bash or for Python. ``title`` says which dialect it speaks."""

    title: str
    language: Literal["bash", "python"]
    code: str


def of_model(model: DocumentedModel, address: str) -> list[Snippet]:
    """The snippets of ``model``, for a gateway at ``address`` (``http://host:port``).

    A snippet with JSON is left out if its example would be too large to be read. A snippet with numpy makes the example itself.
    """
    return [*_predict(model, address), *_simple(model, address), *_infer(model, address), *_examples(model, address)]


def text(model: DocumentedModel, snippets: list[Snippet]) -> str:
    """The text of the route: why some signatures cannot be called, then all snippets one after the other."""
    problems = [f"# No example: {problem}\n" for problem in model.problems]
    return "\n".join([*problems, *(f"# {snippet.title} ({snippet.language})\n{snippet.code}\n" for snippet in snippets)])


def _predict(model: DocumentedModel, address: str) -> Iterator[Snippet]:
    url = f"{address}/v1/models/{model.in_path}:predict"
    signature = _first(model.callable_with(has_compatible_form))
    for key, body in bodies.predict(signature).items() if signature else ():
        form, answer = _FORMS[key]
        yield from _json(f"TensorFlow Serving, {form}", url, body, answer)
    if model.default in model.callable_with(has_array_form):
        yield from _arrays("TensorFlow Serving", url, model.default, whole=True)


def _simple(model: DocumentedModel, address: str) -> Iterator[Snippet]:
    url = f"{address}/predict/{model.in_path}"
    if not model.is_one_segment:
        return
    body = bodies.simple(model.default) if model.default in model.callable_with(has_strict_form) else None
    if body is not None:
        yield from _json("One example", url, body, "prediction")
    if model.default in model.callable_with(has_array_form):
        yield from _arrays("One example", url, model.default, whole=False)


def _infer(model: DocumentedModel, address: str) -> Iterator[Snippet]:
    signature = _first(model.callable_with(has_datatype))
    if signature is None or not model.is_one_segment:
        return
    url = f"{address}/v2/models/{model.in_path}/infer"
    body = bodies.infer(signature)
    if body is not None:
        yield from _json("Open Inference Protocol", url, body, "outputs")
    if signature.name == DEFAULT_SIGNATURE and are_supported(signature.outputs, has_datatype):
        yield _tritonclient(model, address, signature)


def _examples(model: DocumentedModel, address: str) -> Iterator[Snippet]:
    for verb in METHODS:
        signature = _first(model.of_method(verb))
        if signature is not None:
            title = f"TensorFlow Serving, :{verb} (the names of the features are a guess)"
            url = f"{address}/v1/models/{model.in_path}:{verb}"
            yield from _json(title, url, bodies.examples(model, signature), "results")


def _first(signatures: tuple[Signature, ...]) -> Signature | None:
    return signatures[0] if signatures else None


def _json(title: str, url: str, body: Json, answer: str) -> Iterator[Snippet]:
    yield Snippet(
        title, "bash", f"curl -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(body))} {shlex.quote(url)}"
    )
    lines = [
        "import requests",
        "",
        f"body = {body!r}",
        f"response = requests.post({url!r}, json=body, timeout=10)",
        "response.raise_for_status()",
        f"print(response.json()[{answer!r}])",
    ]
    yield Snippet(title, "python", "\n".join(lines))


def _arrays(title: str, url: str, signature: Signature, *, whole: bool) -> Iterator[Snippet]:
    """A snippet that sends numpy arrays: npy if there is one input and one output, else npz."""
    is_one = len(signature.inputs) == len(signature.outputs) == 1
    media_type = NPY if is_one else NPZ
    arrays = [f"{spec.name!r}: {numpy_text.array(signature, spec, whole=whole)}" for spec in signature.inputs]
    save = "numpy.save(file, arrays.popitem()[1])" if is_one else "numpy.savez(file, **arrays)"
    show = "print(answer)" if is_one else "print({name: answer[name] for name in answer})"
    lines = [
        "import io",
        "",
        "import numpy",
        "import requests",
        "",
        f"arrays = {{{', '.join(arrays)}}}",
        "file = io.BytesIO()",
        save,
        f"headers = {{'Content-Type': {media_type!r}, 'Accept': {media_type!r}}}",
        f"response = requests.post({url!r}, data=file.getvalue(), headers=headers, timeout=10)",
        "response.raise_for_status()",
        "answer = numpy.load(io.BytesIO(response.content))",
        show,
    ]
    yield Snippet(f"{title}, as {'npy' if is_one else 'npz'}", "python", "\n".join(lines))


def _tritonclient(model: DocumentedModel, address: str, signature: Signature) -> Snippet:
    """A snippet with Triton's client, which takes strings as arrays of objects, and an address without a scheme."""
    scheme, _, host = address.partition("://")
    lines = [
        "import numpy",
        "import tritonclient.http",
        "",
        f"client = tritonclient.http.InferenceServerClient({host!r}, ssl={scheme == 'https'})",
        "inputs = []",
    ]
    for spec in signature.inputs:
        shape, datatype = list(values.shape(signature, spec)), datatype_of(spec.dtype)
        lines += [
            f"inputs.append(tritonclient.http.InferInput({spec.name!r}, {shape}, {datatype!r}))",
            f"inputs[-1].set_data_from_numpy({numpy_text.for_triton(signature, spec)})",
        ]
    lines += [
        f"result = client.infer({model.name!r}, inputs)",
        f"print(result.as_numpy({signature.outputs[0].name!r}))",
    ]
    return Snippet("Open Inference Protocol, with Triton's client", "python", "\n".join(lines))


def as_json(model: DocumentedModel, snippets: list[Snippet]) -> dict[str, Any]:
    """The JSON of the route."""
    listed = [{"title": snippet.title, "language": snippet.language, "code": snippet.code} for snippet in snippets]
    return {
        "model": model.name,
        "version": str(model.served.version),
        "snippets": listed,
        "problems": list(model.problems),
    }
