"""MultiInference: several classify and regress signatures of one model in one run (upstream's multi_inference.cc).

Signatures may take their examples through different tensors, as every TensorFlow 2 export does: each of these tensors
is fed the same examples.
"""

from typing import Any

from grpc import StatusCode
from tensorflow_serving.apis import inference_pb2

from model_server.requests import examples
from model_server.requests.examples import CLASSIFY, REGRESS, Plan
from model_server.session.servable import DEFAULT_SIGNATURE, Servable, Signature
from model_server.status import ServingError, invalid_argument

Task = tuple[Any, Signature, Plan]


def multi_inference(servable: Servable, request: Any, *, check_method: bool, timeout_ms: int | None = None) -> Any:
    """Answer a MultiInferenceRequest, results in the order of its tasks; raises ServingError."""
    tasks = _tasks(servable, request, check_method=check_method)
    merged = _merged([plan for _, _, plan in tasks])
    fetched, count = examples.run_examples(servable, request.input, merged, timeout_ms)
    response = inference_pb2.MultiInferenceResponse()
    for task, signature, plan in tasks:
        result = response.results.add()
        examples.write_spec(result.model_spec, task.model_spec, servable)
        if task.method_name == CLASSIFY:
            examples.write_classifications(signature, plan, fetched, count, result.classification_result)
        else:
            examples.write_regressions(signature, plan, fetched, count, result.regression_result)
    return response


def _tasks(servable: Servable, request: Any, *, check_method: bool) -> list[Task]:
    tasks: list[Task] = []
    for task in request.tasks:
        _check_model(task.model_spec.name, request.tasks[0].model_spec.name)
        name = task.model_spec.signature_name or DEFAULT_SIGNATURE
        if any(signature.name == name for _, signature, _ in tasks):
            raise invalid_argument(f"Duplicate evaluation of signature: {name}")
        if name not in servable.signatures:
            raise invalid_argument(f"Requested signature not found in model graph: {name}")
        signature = servable.signatures[name]
        tasks.append((task, signature, _plan(task.method_name, signature, check_method=check_method)))
    return tasks


def _check_model(name: str, first: str) -> None:
    if not name:
        raise invalid_argument("Found ModelSpec with an empty model name.")
    if name != first:
        raise invalid_argument("All ModelSpecs in a MultiInferenceRequest must access the same model name.")


def _plan(method: str, signature: Signature, *, check_method: bool) -> Plan:
    if method == CLASSIFY:
        return examples.plan_classify(signature, check_method=check_method)
    if method == REGRESS:
        return examples.plan_regress(signature, check_method=check_method)
    raise ServingError(StatusCode.UNIMPLEMENTED, f"Unsupported signature method_name: {method}")


def _merged(plans: list[Plan]) -> Plan:
    """One plan that feeds and fetches what all of them need."""
    inputs = frozenset().union(*(plan.input_tensors for plan in plans))
    return Plan(inputs, {tensor: tensor for plan in plans for tensor in plan.outputs.values()})
