"""One request that works for a model, as the last line of a refusal: a body for the same route, or a program for a shell.

It is made from the signature, as the documentation's examples are. A line over 500 characters gives way to a link to snippets.
"""

import json
import shlex
from typing import Any, Final

from gateway.api.arrays import NPY, NPZ
from gateway.api.samples import bodies, numpy_text, values
from gateway.api.samples.model import (
    DocumentedModel,
    are_supported,
    has_array_form,
    has_compatible_form,
    has_form,
    has_strict_form,
)
from gateway.codec import b64
from gateway.inference.signature import DEFAULT_SIGNATURE, Signature

_MOST_CHARACTERS: Final = 500
_MARK: Final = "@"


def predict(model: DocumentedModel, signature: Signature, path: str, *, by_columns: bool = False) -> str:
    """A body for TensorFlow Serving's :predict, by rows unless ``by_columns`` or if it has no rows.

    For what has no form in its JSON: a program that uses /v2, or asks for npy of ``path``, the path of the request.
    """
    if not has_form(signature, has_compatible_form):
        return _line(model, signature, _infer_program(model, signature) or _arrays_program(model, signature, path))
    return _body(model, signature, bodies.predict(signature).get("inputs") if by_columns else _first(signature))


def predict_program(model: DocumentedModel, signature: Signature) -> str:
    """A program that sends what ``predict`` gives, for a client that asked for another route."""
    path = f"/v1/models/{model.in_path}:predict"
    if not has_form(signature, has_compatible_form):
        return predict(model, signature, path)
    body = _first(signature)
    return _line(model, signature, _curl(model, body, path) if body else "")


def predict_curl(model: DocumentedModel) -> str:
    """A curl that calls the first signature of the model that has a form in JSON; empty when none has, or it would be long."""
    for signature in model.signatures:
        body = _first(signature)
        program = _curl(model, body, f"/v1/models/{model.in_path}:predict") if body else ""
        if 0 < len(program) <= _MOST_CHARACTERS:
            return program
    return ""


def examples(model: DocumentedModel, signature: Signature, verb: str) -> str:
    """A body for TensorFlow Serving's ``verb``, :classify or :regress."""
    line = _line(model, None, json.dumps(bodies.examples(model, signature)))
    return line.replace("For example", f"For example (:{verb}; the names of the features are a guess)", 1)


def infer(model: DocumentedModel, signature: Signature) -> str:
    """A body for the Open Inference Protocol."""
    return _body(model, signature, bodies.infer(signature))


def simple(model: DocumentedModel, signature: Signature) -> str:
    """A body for /predict."""
    return _body(model, signature, bodies.simple(signature))


def arrays(model: DocumentedModel, signature: Signature, path: str, *, is_example: bool = False) -> str:
    """A program that asks for npy, or npz, of ``path``; ``is_example``: with one example, as /predict takes it."""
    return _line(model, signature, _arrays_program(model, signature, path, is_example=is_example))


def file(model: DocumentedModel, signature: Signature, path: str, key: str) -> str:
    """A program that sends the bytes of a file as the only input, a string, under ``key`` in base64 (empty: by its name)."""
    of_file: Any = {b64.KEY: _MARK}
    if key:
        body = bodies.name_of(signature) | {key: [of_file]}
    else:
        spec = signature.inputs[0]
        body = {spec.name: of_file if spec.has_free_batch or not spec.shape else [of_file]}
    before, _, after = json.dumps(body).partition(_MARK)
    # curl -d leaves out the line breaks of what it reads, and so those of base64.
    sent = f"(printf %s {shlex.quote(before)}; base64 < FILE; printf %s {shlex.quote(after)})"
    return f"For a file: {sent} | curl -d @- {_url(model, path)}"


def raw_file(model: DocumentedModel, path: str) -> str:
    """A program that sends a file as it is as the only input, to a path of the Open Inference Protocol."""
    header = shlex.quote("Inference-Header-Content-Length: 0")
    return f"For a file: curl -H {header} -H 'Content-Type: application/octet-stream' --data-binary @FILE {_url(model, path)}"


def _first(signature: Signature) -> Any:
    """A body of :predict, by rows if it has any; None where it has no form in JSON or is too large."""
    return next(iter(bodies.predict(signature).values()), None)


def _infer_program(model: DocumentedModel, signature: Signature) -> str:
    body = bodies.infer(signature)
    return _curl(model, body, f"/v2/models/{model.in_path}/infer") if body and model.is_one_segment else ""


def _arrays_program(model: DocumentedModel, signature: Signature, path: str, *, is_example: bool = False) -> str:
    """A program that sends JSON if the inputs have any, otherwise arrays; empty if they have neither."""
    answered = NPY if len(signature.outputs) == 1 else NPZ
    accept = f"-H 'Accept: {answered}' -o answer.{answered[-3:]}"
    if are_supported(signature.inputs, has_strict_form if is_example else has_compatible_form):
        body = bodies.one_example(signature) if is_example else bodies.columns(signature)
        return _curl(model, body, path, accept) if values.is_printable(signature) else ""
    # Arrays name no signature.
    if signature.name != DEFAULT_SIGNATURE or not are_supported(signature.inputs, has_array_form):
        return ""
    sent = NPY if len(signature.inputs) == 1 else NPZ
    made = shlex.quote(f"import numpy; {_saved(signature, sent, is_example)}")
    binary = f"--data-binary @inputs.{sent[-3:]}"
    return f"python3 -c {made} && curl -H 'Content-Type: {sent}' {binary} {accept} {_url(model, path)}"


def _saved(signature: Signature, media_type: str, is_example: bool) -> str:
    """The statement that saves the inputs."""
    arrays = {spec.name: numpy_text.array(signature, spec, whole=not is_example) for spec in signature.inputs}
    if media_type == NPY:
        return f"numpy.save('inputs.npy', {next(iter(arrays.values()))})"
    named = ", ".join(f"{name!r}: {array}" for name, array in arrays.items())
    return f"numpy.savez('inputs.npz', **{{{named}}})"


def _curl(model: DocumentedModel, body: Any, path: str, options: str = "") -> str:
    return " ".join(filter(None, ["curl -d", shlex.quote(json.dumps(body)), options, _url(model, path)]))


def _url(model: DocumentedModel, path: str) -> str:
    return shlex.quote(model.address + path)


def _body(model: DocumentedModel, signature: Signature, body: Any) -> str:
    return _line(model, signature, json.dumps(body) if body else "")


def _line(model: DocumentedModel, signature: Signature | None, example: str) -> str:
    if not example or len(example) > _MOST_CHARACTERS:
        return f"Programs that work: GET /docs/models/{model.in_path}" if model.is_one_segment else ""
    note = " (what a string must hold is a guess)" if signature and values.is_guess(signature) else ""
    return f"For example{note}: {example}"
