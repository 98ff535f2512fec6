"""MultiInference over a real socket."""

from pathlib import Path
from typing import Any

import grpc
import pytest
from tensorflow_serving.apis import inference_pb2

from tests.model_server.requests.test_examples import example
from tests.model_server.savedmodels import CLASSIFY, PREDICT, REGRESS
from tests.model_server.serving import Client, fill_spec, refused, serving

INVALID = grpc.StatusCode.INVALID_ARGUMENT

Task = tuple[str, str, str]


def multi(client: Client, *tasks: Task, xs: tuple[float, ...] = (2.0,), version: int | None = None) -> Any:
    """Each task is (model, signature, method); the first one gets the version."""
    request = inference_pb2.MultiInferenceRequest()
    for number, (model, signature, method) in enumerate(tasks):
        task = request.tasks.add(method_name=method)
        fill_spec(task.model_spec, model, version if number == 0 else None, signature=signature)
    request.input.example_list.examples.extend(example(x=x, x2=x) for x in xs)
    return client.prediction.MultiInference(request, timeout=30)


def test_every_head_answers_in_the_order_of_the_tasks(client: Client):
    reply = multi(
        client,
        ("half", "regress_x_to_y2", REGRESS),
        ("half", "classify_x_to_y", CLASSIFY),
        ("half", "regress_x_to_y", REGRESS),
        xs=(2.0, 4.0),
    )
    first, second, third = reply.results
    assert [row.value for row in first.regression_result.regressions] == [4.0, 5.0]
    assert [row.classes[0].score for row in second.classification_result.classifications] == [3.0, 4.0]
    assert [row.value for row in third.regression_result.regressions] == [3.0, 4.0]
    names = [(r.model_spec.name, r.model_spec.version.value, r.model_spec.signature_name) for r in reply.results]
    assert names == [
        ("half", 123, "regress_x_to_y2"),
        ("half", 123, "classify_x_to_y"),
        ("half", 123, "regress_x_to_y"),
    ]


def test_signatures_with_input_tensors_of_their_own_are_all_fed_the_same_examples(client: Client):
    tasks = (("odd", "regress", REGRESS), ("odd", "classify", CLASSIFY), ("odd", "regress_other_input", REGRESS))
    first, second, third = multi(client, *tasks, xs=(1.0, 2.0, 3.0)).results
    assert [row.value for row in first.regression_result.regressions] == [1.5, 1.5, 1.5]
    assert [len(row.classes) for row in second.classification_result.classifications] == [2, 2, 2]
    assert [row.value for row in third.regression_result.regressions] == [1.0, 1.0, 1.0]


def test_a_tensorflow_2_export_answers_whose_every_signature_has_an_input_tensor_of_its_own(client: Client):
    first, second = multi(client, ("tf2", "regress", REGRESS), ("tf2", "classify", CLASSIFY), xs=(2.0, 4.0)).results
    assert [row.value for row in first.regression_result.regressions] == [3.0, 4.0]
    assert [row.classes[0].score for row in second.classification_result.classifications] == [4.0, 8.0]


def test_input_tensors_of_their_own_are_batched_together(models: Path):
    with serving(model_name="tf2", model_base_path=str(models / "tf2"), enable_batching=True) as client:
        first, second = multi(client, ("tf2", "regress", REGRESS), ("tf2", "classify", CLASSIFY), xs=(2.0, 4.0)).results
    assert [row.value for row in first.regression_result.regressions] == [3.0, 4.0]
    assert [row.classes[0].score for row in second.classification_result.classifications] == [4.0, 8.0]


def test_the_first_task_chooses_the_version(client: Client):
    reply = multi(client, ("versions", "regress_x_to_y", REGRESS), ("versions", "regress_x_to_y2", REGRESS), version=1)
    assert [result.model_spec.version.value for result in reply.results] == [1, 1]
    assert reply.results[0].regression_result.regressions[0].value == 2.0


GOOD = ("half", "regress_x_to_y", REGRESS)
REFUSED: dict[str, tuple[tuple[Task, ...], grpc.StatusCode, str]] = {
    "no tasks": ((), INVALID, "ModelSpec has no name specified."),
    "first task without a model": ((("", "", REGRESS),), INVALID, "ModelSpec has no name specified."),
    "later task without a model": (
        (GOOD, ("", "regress_x_to_y2", REGRESS)),
        INVALID,
        "Found ModelSpec with an empty model name.",
    ),
    "another model": (
        (GOOD, ("odd", "regress", REGRESS)),
        INVALID,
        "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
    ),
    "same signature twice": ((GOOD, GOOD), INVALID, "Duplicate evaluation of signature: regress_x_to_y"),
    "unknown signature": (
        (GOOD, ("half", "nope", REGRESS)),
        INVALID,
        "Requested signature not found in model graph: nope",
    ),
    "unsupported method": (
        (GOOD, ("half", "serving_default", PREDICT)),
        grpc.StatusCode.UNIMPLEMENTED,
        "Unsupported signature method_name: tensorflow/serving/predict",
    ),
    "input tensor of another dtype": (
        (("tf2", "regress", REGRESS), ("tf2", "regress_numbers", REGRESS)),
        INVALID,
        "Expects arg[1] to be float but string is provided",
    ),
    "unknown model": (
        (("nope", "", REGRESS),),
        grpc.StatusCode.NOT_FOUND,
        "Servable not found for request: Latest(nope)",
    ),
    "signature that does not fit": (
        (("odd", "regress_two_outputs", REGRESS),),
        INVALID,
        "Expected one output Tensor.",
    ),
}


@pytest.mark.parametrize(("tasks", "code", "text"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(client: Client, tasks: tuple[Task, ...], code: grpc.StatusCode, text: str):
    with refused(code, text):
        multi(client, *tasks)


def test_empty_input(client: Client):
    with refused(INVALID, "Input is empty."):
        multi(client, GOOD, xs=())
