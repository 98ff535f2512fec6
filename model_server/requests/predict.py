"""Predict: any signature, tensors in, tensors out (upstream's predict_util.cc and cc/saved_model/util.cc).

The order of the checks decides which error a client sees.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grpc import StatusCode
from tensorflow_serving.apis import predict_pb2

from model_server import tensors
from model_server.session.servable import DEFAULT_SIGNATURE, Output, Servable, Signature
from model_server.status import ServingError, failed_precondition, invalid_argument
from model_server.tensors import Array

METHODS = ("tensorflow/serving/predict", "tensorflow/serving/classify", "tensorflow/serving/regress")


@dataclass(frozen=True)
class PredictSettings:
    """``as_content`` replies with ``tensor_content``; ``check_method_name`` refuses unknown kinds of signatures."""

    as_content: bool = False
    check_method_name: bool = False


def predict(servable: Servable, request: Any, settings: PredictSettings, timeout_ms: int | None = None) -> Any:
    """Answer a PredictRequest; raises ServingError."""
    signature = _signature(servable, request.model_spec.signature_name or DEFAULT_SIGNATURE, settings)
    feeds = _feeds(signature, request.inputs)
    outputs = _outputs(signature, request.output_filter)
    _check_fed_once(signature)
    arrays = servable.run(feeds, [output.tensor for output in outputs], timeout_ms)
    response = predict_pb2.PredictResponse()
    spec = response.model_spec
    spec.name, spec.signature_name, spec.version.value = request.model_spec.name, signature.name, servable.version
    write = tensors.encode_content if settings.as_content else tensors.encode
    for output, array in zip(outputs, arrays, strict=True):
        write(array, output.dtype, response.outputs[output.alias])
    return response


def _signature(servable: Servable, name: str, settings: PredictSettings) -> Signature:
    signature = servable.signatures.get(name)
    if signature is None:
        raise failed_precondition(f'Serving signature key "{name}" not found.')
    method = signature.definition.method_name
    if settings.check_method_name and method not in METHODS:
        raise ServingError(
            StatusCode.INTERNAL,
            f"Expected prediction signature method_name to be one of {{{', '.join(METHODS)}}}. Was: {method}",
        )
    return signature


def _feeds(signature: Signature, inputs: Any) -> dict[str, Array]:
    defaults = signature.definition.defaults
    if len(inputs) > len(signature.inputs) or (len(inputs) < len(signature.inputs) and not defaults):
        raise _wrong_count(signature.inputs, inputs)
    feeds: dict[str, Array] = {}
    used = []
    for alias, tensor in signature.inputs.items():
        if alias in inputs:
            used.append(alias)
        elif alias not in defaults:
            raise invalid_argument(
                f"Signature input alias: {alias}(feed name: {tensor}) not found in request and no default value"
                f" provided. Inputs expected to be in the request {{{_joined(inputs)}}},"
                f" or default input alias set: {_joined(defaults)}"
            )
        feeds[tensor] = _decoded(alias, inputs[alias] if alias in inputs else defaults[alias])
    if len(used) != len(inputs):
        raise invalid_argument(
            f"Inputs contains invalid name. Used request inputs: {_joined(used)}, request input: {_joined(inputs)}"
        )
    return feeds


def _wrong_count(expected: Mapping[str, str], inputs: Any) -> ServingError:
    extra, missing = set(inputs) - set(expected), set(expected) - set(inputs)
    return invalid_argument(
        f"input size does not match signature: {len(inputs)}!={len(expected)}"
        f" len({{{_joined(inputs)}}}) != len({{{_joined(expected)}}})."
        f" Sent extra: {{{_joined(extra)}}}. Missing but required: {{{_joined(missing)}}}."
    )


def _decoded(alias: str, proto: Any) -> Array:
    try:
        return tensors.decode(proto)
    except ValueError as error:
        raise invalid_argument(f"tensor parsing error: {alias}") from error


def _outputs(signature: Signature, output_filter: Sequence[str]) -> Sequence[Output]:
    if not output_filter:
        return signature.all_outputs
    chosen: dict[str, Output] = {}
    for alias in output_filter:
        if alias not in signature.outputs:
            raise invalid_argument(
                f"output tensor alias not found in signature: {alias}"
                f" Outputs expected to be in the set {{{_joined(signature.outputs)}}}."
            )
        if alias in chosen:
            raise invalid_argument(f"duplicate output tensor alias: {alias}")
        chosen[alias] = signature.outputs[alias]
    return list(chosen.values())


def _check_fed_once(signature: Signature) -> None:
    """Refuse two inputs of one tensor with the words of TensorFlow's subgraph.cc: a dict of feeds would keep one of them."""
    if signature.fed_twice:
        raise invalid_argument(f'Endpoint "{signature.fed_twice}" fed more than once.')


def _joined(names: Iterable[str]) -> str:
    return ",".join(sorted(names))
