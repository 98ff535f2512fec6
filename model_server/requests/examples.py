"""Classify and Regress: tf.Examples in, labels and scores or values out (upstream's classifier.cc and regressor.cc)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import classification_pb2, regression_pb2

from model_server.session.servable import DEFAULT_SIGNATURE, Servable, Signature
from model_server.status import invalid_argument
from model_server.tensors import Array, dtype_name

CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"

_CLASS_DTYPES = {"classes": types_pb2.DT_STRING, "scores": types_pb2.DT_FLOAT}

Fetched = Mapping[str, Array]


@dataclass(frozen=True)
class Plan:
    """The tensors that take the serialized examples, the same ones each, and those that make the result, by their alias."""

    input_tensors: frozenset[str]
    outputs: Mapping[str, str]


def classify(servable: Servable, request: Any, *, check_method: bool, timeout_ms: int | None = None) -> Any:
    """Answer a ClassificationRequest; raises ServingError."""
    signature = _signature(servable, request.model_spec.signature_name)
    plan = plan_classify(signature, check_method=check_method)
    fetched, count = run_examples(servable, request.input, plan, timeout_ms)
    response = classification_pb2.ClassificationResponse()
    write_classifications(signature, plan, fetched, count, response.result)
    write_spec(response.model_spec, request.model_spec, servable)
    return response


def regress(servable: Servable, request: Any, *, check_method: bool, timeout_ms: int | None = None) -> Any:
    """Answer a RegressionRequest; raises ServingError."""
    signature = _signature(servable, request.model_spec.signature_name)
    plan = plan_regress(signature, check_method=check_method)
    fetched, count = run_examples(servable, request.input, plan, timeout_ms)
    response = regression_pb2.RegressionResponse()
    write_regressions(signature, plan, fetched, count, response.result)
    write_spec(response.model_spec, request.model_spec, servable)
    return response


def plan_classify(signature: Signature, *, check_method: bool) -> Plan:
    """Check that a signature classifies, and say what to feed and fetch."""
    definition = signature.definition
    if check_method and definition.method_name != CLASSIFY:
        raise invalid_argument(f"Expected classification signature method_name to be {CLASSIFY}. Was: {definition.method_name}")
    _check_single_input(signature)
    if len(signature.outputs) not in (1, 2):
        raise invalid_argument(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    if "inputs" not in signature.inputs:
        raise invalid_argument(f"No classification inputs found in SignatureDef: {definition}")
    outputs = {alias: signature.outputs[alias].tensor for alias in ("classes", "scores") if alias in signature.outputs}
    if not outputs:
        raise invalid_argument(
            'Expected classification signature outputs to contain at least one of "classes" or "scores".'
            f" Signature was: {definition}"
        )
    return Plan(frozenset({signature.inputs["inputs"]}), outputs)


def plan_regress(signature: Signature, *, check_method: bool) -> Plan:
    """Check that a signature regresses, and say what to feed and fetch."""
    definition = signature.definition
    if check_method and definition.method_name != REGRESS:
        raise invalid_argument(f"Expected regression signature method_name to be {REGRESS}. Was: {definition.method_name}")
    _check_single_input(signature)
    if len(signature.outputs) != 1:
        raise invalid_argument("Expected one output Tensor.")
    if "inputs" not in signature.inputs:
        raise invalid_argument(f"No regression inputs found in SignatureDef: {definition}")
    if "outputs" not in signature.outputs:
        raise invalid_argument(f"No regression outputs found in SignatureDef: {definition}")
    return Plan(frozenset({signature.inputs["inputs"]}), {"outputs": signature.outputs["outputs"].tensor})


def run_examples(servable: Servable, examples: Any, plan: Plan, timeout_ms: int | None) -> tuple[Fetched, int]:
    """Run the graph on an Input; returns tensor name -> array, and the number of examples."""
    serialized = serialized_examples(examples)
    if not serialized:
        raise invalid_argument("Input is empty.")
    fetches = sorted(set(plan.outputs.values()))
    array = np.array(serialized, np.object_)
    arrays = servable.run(dict.fromkeys(plan.input_tensors, array), fetches, timeout_ms)
    return dict(zip(fetches, arrays, strict=True)), len(serialized)


def serialized_examples(message: Any) -> list[bytes]:
    """The Examples of an Input, serialized; a context's bytes go before each example's, so the example wins."""
    kind = message.WhichOneof("kind")
    if kind == "example_list":
        return [example.SerializeToString() for example in message.example_list.examples]
    if kind == "example_list_with_context":
        with_context = message.example_list_with_context
        context = with_context.context.SerializeToString()
        return [context + example.SerializeToString() for example in with_context.examples]
    return []


def write_classifications(signature: Signature, plan: Plan, fetched: Fetched, count: int, result: Any) -> None:
    """Turn classes and/or scores, [count, number of classes] each, into a ClassificationResult."""
    classes, scores = (_checked_classes(signature, plan, fetched, count, alias) for alias in _CLASS_DTYPES)
    if classes is not None and scores is not None and classes.shape[1] != scores.shape[1]:
        raise invalid_argument(
            f"Tensors class and score should match in dim_size(1). Got {classes.shape[1]} vs. {scores.shape[1]}"
        )
    labels = classes.tolist() if classes is not None else None
    values = scores.tolist() if scores is not None else None
    for row in range(count):
        made = result.classifications.add().classes
        for column in range(len((labels or values or [])[row])):
            made.add(
                label=labels[row][column] if labels else b"",
                score=values[row][column] if values else 0.0,
            )


def write_regressions(signature: Signature, plan: Plan, fetched: Fetched, count: int, result: Any) -> None:
    """Turn outputs of [count] or [count, 1] into a RegressionResult."""
    array = fetched[plan.outputs["outputs"]]
    if array.ndim != 1 and not (array.ndim == 2 and array.shape[1] == 1):
        raise invalid_argument(
            f"Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {shown(array.shape)}"
        )
    if array.shape[0] != count:
        raise invalid_argument(f"Input batch size did not match output batch size: {count} vs. {array.shape[0]}")
    dtype = signature.outputs["outputs"].dtype
    if dtype != types_pb2.DT_FLOAT:
        raise invalid_argument(f"Expected output Tensor of DT_FLOAT.  Got: {dtype_name(dtype)}")
    for value in array.ravel().tolist():
        result.regressions.add(value=value)


def write_spec(reply: Any, asked: Any, servable: Servable) -> None:
    """Say in a reply which model, signature and version answered; a label is never echoed."""
    reply.name = asked.name
    reply.signature_name = asked.signature_name or DEFAULT_SIGNATURE
    reply.version.value = servable.version


def shown(shape: Sequence[int]) -> str:
    """A shape as TensorFlow prints it: ``[2,3]``."""
    return f"[{','.join(map(str, shape))}]"


def _signature(servable: Servable, asked: str) -> Signature:
    name = asked or DEFAULT_SIGNATURE
    if name not in servable.signatures:
        raise invalid_argument(f"No signature was found with the name: {name}")
    return servable.signatures[name]


def _check_single_input(signature: Signature) -> None:
    if len(signature.inputs) != 1:
        raise invalid_argument("Expected one input Tensor.")


def _checked_classes(signature: Signature, plan: Plan, fetched: Fetched, count: int, alias: str) -> Array | None:
    if alias not in plan.outputs:
        return None
    array = fetched[plan.outputs[alias]]
    if array.ndim != 2:
        raise invalid_argument(f"Expected Tensor shape: [batch_size num_classes] but got {shown(array.shape)}")
    actual = signature.outputs[alias].dtype
    if actual != _CLASS_DTYPES[alias]:
        raise invalid_argument(f"Expected {alias} Tensor of {dtype_name(_CLASS_DTYPES[alias])}. Got: {dtype_name(actual)}")
    if array.shape[0] != count:
        raise invalid_argument(f"Expected {alias} output batch size of {count}. Got: {array.shape[0]}")
    return array
