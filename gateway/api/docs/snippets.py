"""Requests for a model that can be run as they are: curl and Python, in every dialect that the model can be called in.

The programs in Python are filled from ``static/snippets``.
"""

import json
import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from string import Template
from typing import Final, Literal

from gateway.api.arrays import NPY, NPZ
from gateway.api.docs.json_schema import Json
from gateway.api.docs.page import STATIC
from gateway.api.samples import bodies
from gateway.api.samples.model import (
    METHODS,
    DocumentedModel,
    are_supported,
    has_array_form,
    has_compatible_form,
    has_strict_form,
)
from gateway.api.samples.values import numpy_expression, sample_shape, triton_expression
from gateway.codec.datatypes import datatype_of, has_datatype
from gateway.inference.signature import DEFAULT_SIGNATURE, Signature

# A member of a dict: the key comes from the environment.
_KEY: Final = "'Authorization': f'Bearer {os.environ[\"KEY\"]}'"
_FORMS: Final = {"instances": ("by rows", "predictions"), "inputs": ("by columns", "outputs")}
_PROGRAMS: Final = {
    name: Template(STATIC.joinpath("snippets", f"{name}.txt").read_text().rstrip()) for name in ("json", "numpy", "triton")
}


@dataclass(frozen=True, slots=True)
class Snippet:
    """A program for bash or for Python. ``title`` says which dialect it speaks."""

    title: str
    language: Literal["bash", "python"]
    code: str


def model_snippets(model: DocumentedModel) -> list[Snippet]:
    """The snippets of ``model``, for the gateway at its address.

    A snippet with JSON is left out if its example would be too large to be read. A snippet with numpy makes the example itself.
    """
    return [*_predict(model), *_simple(model), *_infer(model), *_examples(model)]


def snippets_text(model: DocumentedModel, snippets: list[Snippet]) -> str:
    """The text of the route: why some signatures cannot be called, then all snippets one after the other."""
    problems = [f"# No example: {problem}\n" for problem in model.problems]
    return "\n".join([*problems, *(f"# {snippet.title} ({snippet.language})\n{snippet.code}\n" for snippet in snippets)])


def snippets_json(model: DocumentedModel, snippets: list[Snippet]) -> Json:
    """The JSON of the route. ``bodies``: a body of :predict by columns for each signature that has one."""
    found = [(signature, bodies.predict_bodies(signature)) for signature in model.callable_with(has_compatible_form)]
    return {
        "model": model.name,
        "version": str(model.served.version),
        "snippets": list(map(asdict, snippets)),
        "problems": list(model.problems),
        "bodies": [{"signature_name": signature.name} | made["inputs"] for signature, made in found if made],
    }


def _predict(model: DocumentedModel) -> Iterator[Snippet]:
    url = f"{model.address}/v1/models/{model.in_path}:predict"
    for signature in model.callable_with(has_compatible_form)[:1]:
        for key, body in bodies.predict_bodies(signature).items():
            form, answer = _FORMS[key]
            yield from _json(model, f"TensorFlow Serving, {form}", url, body, answer)
    if model.default in model.callable_with(has_array_form):
        yield _numpy(model, "TensorFlow Serving", url, model.default, is_example=False)


def _simple(model: DocumentedModel) -> Iterator[Snippet]:
    url = f"{model.address}/predict/{model.in_path}"
    if not model.is_one_segment:
        return
    body = bodies.simple_body(model.default) if model.default in model.callable_with(has_strict_form) else None
    if body is not None:
        yield from _json(model, "One example", url, body, "prediction")
    if model.default in model.callable_with(has_array_form):
        yield _numpy(model, "One example", url, model.default, is_example=True)


def _infer(model: DocumentedModel) -> Iterator[Snippet]:
    url = f"{model.address}/v2/models/{model.in_path}/infer"
    for signature in model.callable_with(has_datatype)[:1] if model.is_one_segment else ():
        body = bodies.infer_body(signature)
        if body is not None:
            yield from _json(model, "Open Inference Protocol", url, body, "outputs")
        has_answer = signature.outputs and are_supported(signature.outputs, has_datatype)
        if has_answer and signature.name == DEFAULT_SIGNATURE:
            yield _triton(model, signature)


def _examples(model: DocumentedModel) -> Iterator[Snippet]:
    for verb in METHODS:
        for signature in model.of_method(verb)[:1]:
            title = f"TensorFlow Serving, :{verb} (the names of the features are a guess)"
            url = f"{model.address}/v1/models/{model.in_path}:{verb}"
            yield from _json(model, title, url, bodies.examples_body(model, signature), "results")


def _json(model: DocumentedModel, title: str, url: str, body: Json, answer: str) -> Iterator[Snippet]:
    sent = shlex.quote(json.dumps(body))
    yield Snippet(title, "bash", f"{model.curl} -H 'Content-Type: application/json' -d {sent} {shlex.quote(url)}")
    code = _PROGRAMS["json"].substitute(
        os=_import_os(model, "\n\n"),
        body=repr(body),
        url=repr(url),
        answer=repr(answer),
        headers=f", headers={{{_KEY}}}" if model.needs_key else "",
    )
    yield Snippet(title, "python", code)


def _numpy(model: DocumentedModel, title: str, url: str, signature: Signature, *, is_example: bool) -> Snippet:
    """A snippet that sends numpy arrays: npy if there is one input and one output, else npz."""
    is_one = len(signature.inputs) == len(signature.outputs) == 1
    arrays = [f"{spec.name!r}: {numpy_expression(signature, spec, is_example=is_example)}" for spec in signature.inputs]
    code = _PROGRAMS["numpy"].substitute(
        os=_import_os(model, "\n"),
        key=f", {_KEY}" if model.needs_key else "",
        arrays=", ".join(arrays),
        save="numpy.save(file, arrays.popitem()[1])" if is_one else "numpy.savez(file, **arrays)",
        media_type=repr(NPY if is_one else NPZ),
        url=repr(url),
        show="print(answer)" if is_one else "print({name: answer[name] for name in answer})",
    )
    return Snippet(f"{title}, as {'npy' if is_one else 'npz'}", "python", code)


def _triton(model: DocumentedModel, signature: Signature) -> Snippet:
    """A snippet with Triton's client, which takes strings as arrays of objects, and an address without a scheme."""
    scheme, _, host = model.address.partition("://")
    lines = []
    for spec in signature.inputs:
        arguments = f"{spec.name!r}, {list(sample_shape(signature, spec))}, {datatype_of(spec.dtype)!r}"
        lines += [
            f"inputs.append(tritonclient.http.InferInput({arguments}))",
            f"inputs[-1].set_data_from_numpy({triton_expression(signature, spec)})",
        ]
    code = _PROGRAMS["triton"].substitute(
        os=_import_os(model, "\n\n"),
        headers=f", headers={{{_KEY}}}" if model.needs_key else "",
        host=repr(host),
        is_secure=scheme == "https",
        inputs="\n".join(lines),
        model=repr(model.name),
        output=repr(signature.outputs[0].name),
    )
    return Snippet("Open Inference Protocol, with Triton's client", "python", code)


def _import_os(model: DocumentedModel, end: str) -> str:
    """The line of a program that takes the key from its environment, and what stands behind it."""
    return f"import os{end}" if model.needs_key else ""
