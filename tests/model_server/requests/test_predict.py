"""Predict over a real socket: which servable, which checks in which order, which texts."""

import threading
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import predict_pb2

from tests.model_server.serving import Client, refused, serving

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
FAILED = grpc.StatusCode.FAILED_PRECONDITION


def test_answers_with_typed_fields_and_says_who_answered(client: Client):
    reply = client.predict("half", {"x": np.float32([1, 2])})
    assert list(reply.outputs["y"].float_val) == [2.5, 3.0]
    assert reply.outputs["y"].tensor_content == b""
    assert [dim.size for dim in reply.outputs["y"].tensor_shape.dim] == [2]
    spec = reply.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("half", 123, "serving_default")


@pytest.mark.parametrize("shape", [(), (3,), (2, 1), (2, 2)])
def test_shapes_are_not_compared_with_the_declared_one(client: Client, shape: tuple[int, ...]):
    reply = client.predict("half", {"x": np.ones(shape, np.float32)})
    assert tuple(dim.size for dim in reply.outputs["y"].tensor_shape.dim) == shape


def test_missing_model_spec(client: Client):
    with refused(INVALID, "Missing ModelSpec"):
        client.prediction.Predict(predict_pb2.PredictRequest())


def test_empty_model_name(client: Client):
    with refused(INVALID, "ModelSpec has no name specified."):
        client.predict("", {}, version=1)


@pytest.mark.parametrize("model", ["unknown", "absent", "broken"])
def test_model_that_is_unknown_or_has_nothing_loaded(client: Client, model: str):
    with refused(NOT_FOUND, f"Servable not found for request: Latest({model})"):
        client.predict(model, {})


def test_version_that_is_not_loaded(client: Client):
    with refused(NOT_FOUND, "Servable not found for request: Specific(half, 9)"):
        client.predict("half", {}, version=9)


def test_without_a_version_the_highest_answers(client: Client):
    assert client.predict("versions", {"x": np.float32([2])}).model_spec.version.value == 2


@pytest.mark.parametrize(("version", "expected"), [(1, 2.0), (2, 3.0)])
def test_a_version_can_be_chosen(client: Client, version: int, expected: float):
    assert client.y("versions", version=version) == [expected]


def test_a_label_is_resolved_and_not_echoed(client: Client):
    reply = client.predict("versions", {"x": np.float32([2])}, label="stable")
    assert reply.model_spec.version.value == 1
    assert reply.model_spec.version_label == ""


@pytest.mark.parametrize("model", ["versions", "half", "unknown"])
def test_unknown_label(client: Client, model: str):
    with refused(INVALID, "Unrecognized servable version label: canary"):
        client.predict(model, {}, label="canary")


def test_unknown_signature_comes_before_the_inputs(client: Client):
    with refused(FAILED, 'Serving signature key "nope" not found.'):
        client.predict("half", {"wrong": np.float32([1])}, signature="nope")


@pytest.mark.parametrize("signature", ["regress_x_to_y", "classify_x_to_y"])
def test_any_signature_can_be_called(client: Client, signature: str):
    example = tf.train.Example()
    example.features.feature["x"].float_list.value.append(4.0)
    reply = client.predict("half", {"inputs": np.array([example.SerializeToString()])}, signature=signature)
    assert list(next(iter(reply.outputs.values())).float_val) == [4.0]


def test_too_many_inputs(client: Client):
    with refused(
        INVALID,
        "input size does not match signature: 2!=1 len({a,b}) != len({x}). Sent extra: {a,b}. Missing but required: {x}.",
    ):
        client.predict("half", {"b": np.float32([1]), "a": np.float32([1])})


def test_too_few_inputs(client: Client):
    with refused(
        INVALID,
        "input size does not match signature: 1!=2 len({text}) != len({number,text})."
        " Sent extra: {}. Missing but required: {number}.",
    ):
        client.predict("mixed", {"text": ["a"]})


def test_an_input_without_default_is_asked_for_by_name(client: Client):
    with refused(
        INVALID,
        "Signature input alias: number(feed name: number:0) not found in request and no default value provided."
        " Inputs expected to be in the request {text}, or default input alias set: text",
    ):
        client.predict("mixed", {"text": ["a"]}, signature="with_default")


def test_a_default_of_the_signature_is_used(client: Client):
    reply = client.predict("mixed", {"number": np.int64([3])}, signature="with_default")
    assert list(reply.outputs["greeting"].string_val) == [b"hello default"]


def test_wrong_name_where_the_count_is_right_for_a_signature_with_defaults(client: Client):
    with refused(
        INVALID,
        "Inputs contains invalid name. Used request inputs: number, request input: number,other",
    ):
        client.predict("mixed", {"number": np.int64([3]), "other": np.int64([3])}, signature="with_default")


@pytest.mark.parametrize(
    "proto",
    [
        tensor_pb2.TensorProto(),
        tensor_pb2.TensorProto(dtype="DT_FLOAT", tensor_content=b"abc", tensor_shape={"dim": [{"size": 1}]}),
        tensor_pb2.TensorProto(dtype="DT_FLOAT", tensor_shape={"dim": [{"size": -1}]}),
        tensor_pb2.TensorProto(dtype="DT_RESOURCE", tensor_shape={}),
    ],
    ids=["no dtype", "wrong content length", "negative dimension", "resource"],
)
def test_undecodable_tensor(client: Client, proto: tensor_pb2.TensorProto):
    with refused(INVALID, "tensor parsing error: x"):
        client.predict("half", {"x": proto})


def test_output_filter_chooses_outputs(client: Client):
    inputs = {"number": np.int64([3]), "text": ["a"]}
    reply = client.predict("mixed", inputs, output_filter=("greeting",))
    assert list(reply.outputs) == ["greeting"]


def test_unknown_output_filter(client: Client):
    with refused(
        INVALID,
        "output tensor alias not found in signature: z Outputs expected to be in the set {doubled,greeting}.",
    ):
        client.predict("mixed", {"number": np.int64([3]), "text": ["a"]}, output_filter=("z",))


def test_repeated_output_filter(client: Client):
    with refused(INVALID, "duplicate output tensor alias: y"):
        client.predict("half", {"x": np.float32([1])}, output_filter=("y", "y"))


@pytest.mark.parametrize("signature", ["fed_twice", "fed_by_two_names"])
def test_two_inputs_of_one_tensor_are_refused_in_tensorflows_words(client: Client, signature: str):
    inputs = {"a": np.int64([1]), "b": np.int64([2])} | ({"text": [b"x"]} if signature == "fed_twice" else {})
    with refused(INVALID, 'Endpoint "number:0" fed more than once.'):
        client.predict("mixed", inputs, signature=signature)


@pytest.mark.parametrize(
    ("inputs", "output_filter", "text"),
    [
        ({"a": np.int64([1]), "text": [b"x"]}, (), "input size does not match signature: 2!=3"),
        (
            {"a": np.int64([1]), "b": np.int64([2]), "text": [b"x"]},
            ("nope",),
            "output tensor alias not found in signature: nope",
        ),
    ],
    ids=["a missing input", "an unknown output"],
)
def test_the_request_is_checked_before_the_tensors_that_it_feeds(
    client: Client, inputs: dict[str, Any], output_filter: tuple[str, ...], text: str
):
    with refused(INVALID, text, exact=False):
        client.predict("mixed", inputs, output_filter=output_filter, signature="fed_twice")


def test_an_output_that_is_also_fed_is_refused_in_tensorflows_words(client: Client):
    with refused(INVALID, "number:0 is both fed and fetched."):
        client.predict("mixed", {"number": np.int64([1])}, signature="fed_and_fetched")


def test_the_outputs_that_are_not_fed_can_be_fetched_alone(client: Client):
    reply = client.predict("mixed", {"number": np.int64([4])}, output_filter=("doubled",), signature="fed_and_fetched")
    assert {alias: list(tensor.int64_val) for alias, tensor in reply.outputs.items()} == {"doubled": [8]}


def test_two_aliases_of_one_tensor_both_come(client: Client):
    reply = client.predict("mixed", {"number": np.int64([3])}, signature="aliases")
    assert {alias: list(tensor.int64_val) for alias, tensor in reply.outputs.items()} == {"a": [6], "b": [6]}


def test_wrong_dtype_is_told_by_its_place_among_the_sorted_feeds(client: Client):
    with refused(INVALID, "Expects arg[0] to be float but bool is provided"):
        client.predict("half", {"x": np.array([True])})
    with refused(INVALID, "Expects arg[1] to be string but int64 is provided"):
        client.predict("mixed", {"number": np.int64([3]), "text": np.int64([3])})


def test_an_error_of_an_operation_is_passed_on(client: Client):
    with refused(INVALID, "Could not parse example input", exact=False):
        client.predict("half", {"inputs": np.array([b"\xff\xfe garbage"])}, signature="regress_x_to_y")


def test_a_long_status_text_is_cut_at_1024_bytes(client: Client):
    with pytest.raises(grpc.RpcError) as caught:
        client.predict("mixed", {"number": np.int64([3])}, signature="fails_at_length")
    details = caught.value.details()
    assert details.endswith("...TRUNCATED")
    assert len(details) == 1024 + len("...TRUNCATED")


def test_messages_larger_than_grpc_allows_by_default(client: Client):
    reply = client.predict("half", {"x": np.full(2_000_000, 2.0, np.float32)})
    assert len(reply.outputs["y"].float_val) == 2_000_000
    assert reply.outputs["y"].float_val[-1] == 3.0


def test_reference_variables_keep_their_state(client: Client):
    first = client.predict("counter", {"nothing": np.float32(0)}, signature="increment").outputs["output"].float_val
    then = client.predict("counter", {"nothing": np.float32(0)}, signature="read").outputs["output"].float_val
    assert list(first) == list(then) == [1.0]


def test_requests_run_at_the_same_time(client: Client):
    """Neither side of a rendezvous can end before the other has begun."""
    right: list[list[float]] = []
    thread = threading.Thread(
        target=lambda: right.append(client.y("rendezvous", np.float32(2), signature="right")), daemon=True
    )
    thread.start()
    left = client.y("rendezvous", np.float32(1), signature="left")
    thread.join(30)
    assert (left, right) == ([2.0], [[1.0]])


def test_replies_can_carry_tensor_content(models):
    with serving(
        model_name="mixed", model_base_path=str(models / "mixed"), enable_serialization_as_tensor_content=True
    ) as client:
        reply = client.predict("mixed", {"number": np.int64([3, 4]), "text": ["a", "b"]})
    assert tf.make_ndarray(reply.outputs["doubled"]).tolist() == [6, 8]
    assert len(reply.outputs["doubled"].int64_val) == 0
    greeting = tf.io.parse_tensor(reply.outputs["greeting"].SerializeToString(), tf.string)
    assert greeting.numpy().tolist() == [b"hello a", b"hello b"]


def test_method_names_are_checked_where_asked_for(models, client: Client):
    client.predict("mixed", {"number": np.int64([3])}, signature="odd_method")
    flags = {"model_name": "mixed", "model_base_path": str(models / "mixed"), "enable_signature_method_name_check": True}
    with (
        serving(**flags) as strict,
        refused(
            grpc.StatusCode.INTERNAL,
            "Expected prediction signature method_name to be one of {tensorflow/serving/predict,"
            " tensorflow/serving/classify, tensorflow/serving/regress}. Was: custom/method",
        ),
    ):
        strict.predict("mixed", {"number": np.int64([3])}, signature="odd_method")
