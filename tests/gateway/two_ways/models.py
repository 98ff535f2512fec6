"""Stand-ins for the models that the requests name: the signatures of the real ones, and outputs that depend on the inputs."""

from collections.abc import Callable

import numpy as np

from gateway.backend.stubs import DataType, SignatureDef
from gateway.inference.signature import Tensors
from tests.gateway.fake_serving import FakeServing, Version, signature

FLOAT, INT8, INT32, STRING, BOOL, HALF = (
    getattr(DataType, f"DT_{name}") for name in ("FLOAT", "INT8", "INT32", "STRING", "BOOL", "HALF")
)
PREDICT, CLASSIFY, REGRESS = (f"tensorflow/serving/{method}" for method in ("predict", "classify", "regress"))
Sides = tuple[dict[str, tuple[int, list[int]]], dict[str, tuple[int, list[int]]]]


def of_examples(method: str, inputs: str = "inputs") -> SignatureDef:
    made = signature({inputs: (STRING, [-1])}, {"scores" if method == CLASSIFY else "outputs": (FLOAT, [-1, 1])})
    made.method_name = method
    return made


X_TO_Y = signature({"x": (FLOAT, [-1, 1])}, {"y": (FLOAT, [-1, 1])})
HALF_PLUS = {
    "serving_default": X_TO_Y,
    "regress_x_to_y": of_examples(REGRESS),
    "regress_x_to_y2": of_examples(REGRESS),
    "classify_x_to_y": of_examples(CLASSIFY),
    REGRESS: of_examples(REGRESS),
}


def plain(inputs: dict[str, tuple[int, list[int]]], outputs: dict[str, tuple[int, list[int]]]) -> dict[str, SignatureDef]:
    return {"serving_default": signature(inputs, outputs)}


def half_plus_two(inputs: Tensors) -> Tensors:
    return {"y": inputs["x"] / np.float32(2) + np.float32(2)}


def dense(inputs: Tensors) -> Tensors:
    return {"output": inputs["features"].sum(axis=-1, keepdims=True)}


def digits(inputs: Tensors) -> Tensors:
    rows = len(next(iter(inputs.values())))
    return {"label": np.arange(rows, dtype=np.int32), "probabilities": np.full((rows, 10), 0.1, np.float32)}


def basket(inputs: Tensors) -> Tensors:
    return {"total": inputs["quantity"] * inputs["unit_price"], "summary": inputs["sku"]}


def counter(inputs: Tensors) -> Tensors:
    return {"output": np.float32(sum(map(float, inputs.values()), 1.0)).reshape(())}


def multi_io(inputs: Tensors) -> Tensors:
    if "s" in inputs:
        return {"out": inputs["s"]}
    if "b" in inputs:
        return {"doubled": inputs["a"] * 2, "echo_bytes": inputs["b"]}
    return {"out": inputs["a"]}


IMAGE = {"label": (INT32, [-1]), "probabilities": (FLOAT, [-1, 10])}
ITEM = {"sku": (STRING, [-1]), "quantity": (INT32, [-1]), "unit_price": (FLOAT, [-1]), "express": (BOOL, [-1])}
MULTI = {
    "serving_default": signature(
        {"a": (INT32, [-1]), "b": (STRING, [-1])}, {"doubled": (INT32, [-1]), "echo_bytes": (STRING, [-1])}
    ),
    "i8": signature({"a": (INT8, [-1])}, {"out": (INT8, [-1])}),
    "text": signature({"s": (STRING, [-1])}, {"out": (STRING, [-1])}),
    "mm": signature({"a": (FLOAT, [-1, 2])}, {"out": (FLOAT, [-1, 2])}),
}
COUNTER = {
    "get_counter": signature({}, {"output": (FLOAT, [])}),
    "incr_counter_by": signature({"delta": (FLOAT, [])}, {"output": (FLOAT, [])}),
}

Run = Callable[[Tensors], Tensors]
MODELS: dict[str, tuple[tuple[int, ...], Run, dict[str, SignatureDef]]] = {
    "m": ((1,), lambda inputs: {"y": inputs["x"] * 2}, plain({"x": (FLOAT, [-1, 2])}, {"y": (FLOAT, [-1, 2])})),
    "half_plus_two": ((123,), half_plus_two, HALF_PLUS),
    "half_plus_three": ((123,), half_plus_two, HALF_PLUS),
    "two_versions": ((123, 124), half_plus_two, HALF_PLUS),
    "tf2": ((123,), half_plus_two, HALF_PLUS),
    "matrix": ((1,), half_plus_two, plain({"x": (FLOAT, [-1, 3, 3])}, {"y": (FLOAT, [-1, 3, 3])})),
    "dense": ((1,), dense, plain({"features": (FLOAT, [-1, 10])}, {"output": (FLOAT, [-1, 1])})),
    "digits": (
        (1,),
        digits,
        {
            "serving_default": signature({"image": (FLOAT, [-1, 8, 8])}, IMAGE),
            "png": signature({"image_bytes": (STRING, [-1])}, IMAGE),
        },
    ),
    "basket": ((1,), basket, plain(ITEM, {"total": (FLOAT, [-1]), "summary": (STRING, [-1])})),
    "counter": ((123,), counter, COUNTER),
    "multi_io": ((1,), multi_io, MULTI),
}


def fake() -> FakeServing:
    """A model server with all of them."""
    server = FakeServing()
    server.models = {
        name: {number: Version(run, signatures) for number in versions} for name, (versions, run, signatures) in MODELS.items()
    }
    server.labels = {("two_versions", "stable"): 123, ("two_versions", "canary"): 124}
    return server


def config() -> str:
    """The model config file of them."""
    entries = "".join(f'config {{ name: "{name}" base_path: "/models/{name}" }}\n' for name in MODELS)
    return f"model_config_list {{\n{entries}}}\n"
