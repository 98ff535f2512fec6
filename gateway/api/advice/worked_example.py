"""One request that works for a model, as the last line of a refusal: a body for the same route, or a program for a shell.

It is made from the signature, as the documentation's examples are. A line over 500 characters gives way to a link to snippets.
"""

import json
import shlex
from typing import Any, Final

from gateway.api.arrays import NPY, NPZ
from gateway.api.samples import bodies
from gateway.api.samples.model import (
    DocumentedModel,
    are_supported,
    has_array_form,
    has_compatible_form,
    has_form,
    has_strict_form,
)
from gateway.api.samples.values import is_guess, is_printable, numpy_expression
from gateway.codec import b64
from gateway.inference.signature import DEFAULT_SIGNATURE, Signature

_MOST_CHARACTERS: Final = 500
_MARK: Final = "@"


def predict_example(model: DocumentedModel, signature: Signature, path: str, *, by_columns: bool = False) -> str:
    """A body for TensorFlow Serving's :predict, by rows unless ``by_columns`` or if it has no rows.

    For what has no form in its JSON: a program that uses /v2, or asks for npy of ``path``, the path of the request.
    """
    if has_form(signature, has_compatible_form):
        body = bodies.predict_bodies(signature).get("inputs") if by_columns else _first(signature)
        return body_example(model, signature, body)
    infer = _curl(model, bodies.infer_body(signature), f"/v2/models/{model.in_path}/infer") if model.is_one_segment else ""
    return _line(model, signature, infer or _arrays_program(model, signature, path, is_example=False))


def predict_program(model: DocumentedModel, signature: Signature) -> str:
    """A program that sends what ``predict_example`` gives, for a client that asked for another route."""
    if not has_form(signature, has_compatible_form):
        return predict_example(model, signature, _predict_path(model))
    return _line(model, signature, _curl(model, _first(signature), _predict_path(model)))


def predict_curl(model: DocumentedModel) -> str:
    """A curl that calls the first signature of the model that has a form in JSON; empty when none has, or it would be long."""
    programs = (_curl(model, _first(signature), _predict_path(model)) for signature in model.signatures)
    return next((program for program in programs if 0 < len(program) <= _MOST_CHARACTERS), "")


def tf_example(model: DocumentedModel, signature: Signature, verb: str) -> str:
    """A body for TensorFlow Serving's ``verb``, :classify or :regress."""
    line = _line(model, None, json.dumps(bodies.examples_body(model, signature)))
    return line.replace("For example", f"For example (:{verb}; the names of the features are a guess)", 1)


def body_example(model: DocumentedModel, signature: Signature, body: Any) -> str:
    """The sample ``body`` for the route of the request; None: there is none."""
    return _line(model, signature, json.dumps(body) if body else "")


def arrays_example(model: DocumentedModel, signature: Signature, path: str, *, is_example: bool = False) -> str:
    """A program that asks for npy, or npz, of ``path``; ``is_example``: with one example, as /predict takes it."""
    return _line(model, signature, _arrays_program(model, signature, path, is_example))


def file_example(model: DocumentedModel, signature: Signature, path: str, key: str) -> str:
    """A program that sends the bytes of a file as the only input, a string, under ``key`` in base64 (empty: by its name)."""
    of_file: Any = {b64.KEY: _MARK}
    if key:
        body = bodies.signature_member(signature) | {key: [of_file]}
    else:
        spec = signature.inputs[0]
        body = {spec.name: of_file if spec.has_free_batch or not spec.shape else [of_file]}
    before, _, after = json.dumps(body).partition(_MARK)
    # curl -d leaves out the line breaks of what it reads, and so those of base64.
    sent = f"(printf %s {shlex.quote(before)}; base64 < FILE; printf %s {shlex.quote(after)})"
    return f"For a file: {sent} | {model.curl} -d @- {_url(model, path)}"


def raw_file_example(model: DocumentedModel, path: str) -> str:
    """A program that sends a file as it is as the only input, to a path of the Open Inference Protocol."""
    header = shlex.quote("Inference-Header-Content-Length: 0")
    media_type = "-H 'Content-Type: application/octet-stream'"
    return f"For a file: {model.curl} -H {header} {media_type} --data-binary @FILE {_url(model, path)}"


def _first(signature: Signature) -> Any:
    """A body of :predict, by rows if it has any; None where it has no form in JSON or is too large."""
    return next(iter(bodies.predict_bodies(signature).values()), None)


def _predict_path(model: DocumentedModel) -> str:
    return f"/v1/models/{model.in_path}:predict"


def _arrays_program(model: DocumentedModel, signature: Signature, path: str, is_example: bool) -> str:
    """A program that sends JSON if the inputs have any, otherwise arrays; empty if they have neither."""
    answered = NPY if len(signature.outputs) == 1 else NPZ
    accept = f"-H 'Accept: {answered}' -o answer.{answered[-3:]}"
    if are_supported(signature.inputs, has_strict_form if is_example else has_compatible_form):
        if not is_printable(signature):
            return ""
        return _curl(model, bodies.one_example_body(signature) if is_example else bodies.columns_body(signature), path, accept)
    # Arrays name no signature.
    if signature.name != DEFAULT_SIGNATURE or not are_supported(signature.inputs, has_array_form):
        return ""
    sent = NPY if len(signature.inputs) == 1 else NPZ
    arrays = {spec.name: numpy_expression(signature, spec, is_example=is_example) for spec in signature.inputs}
    named = ", ".join(f"{name!r}: {array}" for name, array in arrays.items())
    one = next(iter(arrays.values()))
    save = f"numpy.save('inputs.npy', {one})" if sent == NPY else f"numpy.savez('inputs.npz', **{{{named}}})"
    made = shlex.quote(f"import numpy; {save}")
    binary = f"--data-binary @inputs.{sent[-3:]}"
    return f"python3 -c {made} && {model.curl} -H 'Content-Type: {sent}' {binary} {accept} {_url(model, path)}"


def _curl(model: DocumentedModel, body: Any, path: str, options: str = "") -> str:
    """A program that sends ``body``; empty if there is none."""
    words = [model.curl, "-d", shlex.quote(json.dumps(body)), options, _url(model, path)]
    return " ".join(filter(None, words)) if body else ""


def _url(model: DocumentedModel, path: str) -> str:
    return shlex.quote(model.address + path)


def _line(model: DocumentedModel, signature: Signature | None, example: str) -> str:
    if not example or len(example) > _MOST_CHARACTERS:
        return f"Programs that work: GET /docs/models/{model.in_path}" if model.is_one_segment else ""
    note = " (what a string must hold is a guess)" if signature and is_guess(signature) else ""
    return f"For example{note}: {example}"
