"""The OpenAPI document, from signatures of every kind."""

import json
import re
from urllib.parse import unquote

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from gateway import errors
from gateway.api.docs.json_schema import element_schema
from gateway.api.docs.openapi import Limits, Served, openapi_document
from gateway.api.docs.refusals import error_statuses
from gateway.api.samples.values import is_printable
from gateway.api.simple.body import load_example
from gateway.api.tfserving import body as predict_body
from gateway.api.tfserving import path as tfserving_path
from gateway.codec import datatypes
from gateway.codec.elements import element, fits_element
from gateway.inference import dtypes
from gateway.inference.signature import ServedModel, Signature, TensorSpec
from gateway.inference.status import ModelStatus, VersionStatus

LIMITS = Limits(max_body_bytes=1000, timeout_s=2.0, non_finite="tokens")
PREDICT, CLASSIFY, REGRESS = (f"tensorflow/serving/{verb}" for verb in ("predict", "classify", "regress"))


def signature(inputs, outputs=None, name="serving_default", method=PREDICT) -> Signature:
    outputs = outputs or (TensorSpec("y", dtypes.FLOAT, (None,)),)
    return Signature(name, method, tuple(inputs), tuple(outputs))


def model(*signatures: Signature, name="m", version=1) -> ServedModel:
    return ServedModel(name, version, {one.name: one for one in signatures})


def served(*models: ServedModel, statuses: tuple[ModelStatus, ...] | None = None, default: str = "") -> Served:
    ready = tuple(ModelStatus(one.name, (VersionStatus(one.version, "AVAILABLE"),)) for one in models)
    return Served(models, ready if statuses is None else statuses, default)


def document(*models: ServedModel, **kwargs) -> dict:
    return json.loads(json.dumps(openapi_document(served(*models, **kwargs), LIMITS)))


def spec(dtype=dtypes.FLOAT, shape=(None,), name="x", **kwargs) -> TensorSpec:
    return TensorSpec(name, dtype, shape, **kwargs)


def body_schema(made: dict, path: str) -> dict:
    """The schema of a JSON body, with its references beside it."""
    schema = made["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return schema | {"components": made["components"]}


def accepts(schema: dict, value: object) -> bool:
    return Draft202012Validator(schema).is_valid(value)


SHAPES = (None, (), (None,), (3,), (None, 2), (None, None, 3), (2, 0))


def test_the_document_is_valid_for_every_dtype_and_shape():
    kinds = [(dtype, shape) for dtype in dtypes.DTYPES for shape in SHAPES]
    signatures = [signature([spec(*kind)], [spec(*kind, name="y")], name=f"s{index}") for index, kind in enumerate(kinds)]
    validate(document(model(*signatures), *(model(signature([spec(shape=shape)]), name=str(shape)) for shape in SHAPES)))


@pytest.mark.parametrize("dtype", dtypes.DTYPES, ids=str)
def test_an_example_is_what_the_dialects_take(dtype):
    """The decoders of the routes, not the schema, are asked."""
    for shape in (None, (), (None,), (3,), (None, 2), (2, None, 3)):
        one = model(signature([spec(dtype, shape)]))
        made = document(one)
        for path, load in (("/v1/models/m:predict", predict_body.load_predict_body), ("/predict/m", load_example)):
            for example in examples(made, path).values():
                load(example["value"], one.signatures["serving_default"])
        assert bool(examples(made, "/v1/models/m:predict")) == element(dtype, strict=False).is_supported
        assert bool(examples(made, "/predict/m")) == element(dtype, strict=True).is_supported


def examples(made: dict, path: str) -> dict:
    item = made["paths"].get(path)
    return item["post"]["requestBody"]["content"]["application/json"].get("examples", {}) if item else {}


ELEMENTS = [
    0, 1, -1, 1.5, -0.0, 127, 128, -128, -129, 255, 256, 32767, 32768, 65535, 65536, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1,
    2**32 - 1, 2**32, 2**63 - 1, 2**63, -(2**63), 2**64 - 1, 2**64, 65519.0, 65520.0, -65520.0, 3.4e38, 3.5e38, -3.5e38, 1e308,
    True, False, None, "", "a", {"b64": ""}, {"b64": "AA=="}, {"b64": "AA"}, {"b64": "A"}, {"b64": "%%%%"}, {"b64": 1},
    {"b64": "AA==", "c": 1}, {}, [],
]  # fmt: skip


@pytest.mark.parametrize("dtype", [dtype for dtype in dtypes.DTYPES if element(dtype, strict=True).is_supported], ids=str)
def test_a_schema_takes_the_elements_that_the_strict_dialects_take(dtype):
    schema, kind = element_schema(dtype), element(dtype, strict=True)
    for value in ELEMENTS:
        # A float is no integer in any dialect; JSON Schema looks at its value.
        if not (isinstance(value, float) and value.is_integer() and schema.get("type") == "integer"):
            assert accepts(schema, value) == fits_element(value, kind), value


@pytest.mark.parametrize(
    ("value", "taken"),
    [
        ({"x": [[1.0, 2.0, 3.0], [4, 5, 6]]}, True),
        ({"data": [[1.0, 2.0, 3.0], [4, 5, 6]]}, True),
        ({"x": [[1.0, 2.0, 3.0]]}, False),
        ({"x": [[1.0, 2.0], [3.0, 4.0]]}, False),
        ({"x": [[1.0, 2.0, "a"], [4, 5, 6]]}, False),
        ({"x": [[1.0, 2.0, 3.0], [4, 5, 6]], "z": 1}, False),
        ({}, False),
    ],
)
def test_the_schema_of_predict_is_what_predict_takes(value, taken):
    one = model(signature([spec(shape=(None, 2, 3))]))
    assert accepts(body_schema(document(one), "/predict/m"), value) == taken
    if taken:
        assert load_example(value, one.signatures["serving_default"])["x"].shape == (1, 2, 3)
    else:
        with pytest.raises(errors.InvalidArgument):
            load_example(value, one.signatures["serving_default"])


def test_the_schema_of_a_row_has_the_fixed_dimensions_and_leaves_the_free_ones():
    schema = body_schema(document(model(signature([spec(shape=(None, 2, None))]))), "/v1/models/m:predict")
    for instances, taken in (([[[1.0], [2.0]]], True), ([[[1.0, 2.0], [3, 4]]] * 5, True), ([[[1.0]]], False), ([], False)):
        assert accepts(schema, {"instances": instances}) == taken
        assert accepts(schema, {"instances": [{"x": row} for row in instances]}) == taken


def test_a_tensor_of_unknown_rank_may_nest_at_any_depth_but_holds_its_dtype():
    schema = body_schema(document(model(signature([spec(dtypes.INT32, None)]))), "/v1/models/m:predict")
    for value, taken in ((1, True), ([1], True), ([[[[1]]]], True), ("a", False), ([["a"]], False)):
        assert accepts(schema, {"inputs": value}) == taken


def test_a_signature_without_a_common_dimension_0_is_called_by_columns_only():
    made = document(model(signature([spec(shape=()), spec(name="z")])))
    assert list(examples(made, "/v1/models/m:predict")) == ["serving_default.inputs"]


def test_an_input_with_a_default_may_be_left_out_where_the_dialect_lets_it():
    made = document(model(signature([spec(), spec(name="z", has_default=True)])))
    assert accepts(body_schema(made, "/predict/m"), {"x": 1.0})
    assert not accepts(body_schema(made, "/predict/m"), {"z": 1.0})
    tensor = {"name": "x", "datatype": "FP32", "shape": [1], "data": [1.0]}
    assert accepts(body_schema(made, "/v2/models/m/infer"), {"inputs": [tensor]})


def test_the_schema_of_infer_has_the_members_that_the_protocol_has_and_leaves_the_parameters_free():
    schema = body_schema(document(model(signature([spec()]))), "/v2/models/m/infer")
    tensor = {"name": "x", "datatype": "FP32", "shape": [1], "data": [1.0]}
    free = {"priority": 3, "deep": {"a": []}}
    assert accepts(schema, {"id": None, "model_name": "m", "inputs": [tensor], "outputs": None, "parameters": None})
    assert accepts(
        schema,
        {"inputs": [tensor | {"parameters": free}], "outputs": [{"name": "y", "parameters": free}]} | {"parameters": free},
    )
    for odd in ({"input": []}, {"inputs": [tensor | {"dtype": "FP32"}]}, {"outputs": [{"name": "y", "data": []}]}):
        assert not accepts(schema, {"inputs": [tensor]} | odd)


def test_the_schema_of_infer_for_any_model_has_the_datatypes_of_the_protocol():
    assert document()["components"]["schemas"]["openinference.datatype"] == {"enum": list(datatypes.BY_NAME)}


def test_another_signature_than_the_default_must_be_named():
    made = document(model(signature([spec()], name="other")))
    assert not accepts(body_schema(made, "/v1/models/m:predict"), {"instances": [1.0]})
    assert accepts(body_schema(made, "/v1/models/m:predict"), {"signature_name": "other", "instances": [1.0]})
    assert "/predict/m" not in made["paths"], "it always means the default signature"
    assert made["paths"]["/v2/models/m"]["get"]["parameters"][0]["required"] is True


def test_classify_and_regress_are_there_for_signatures_that_take_examples():
    serialized = [spec(dtypes.STRING, (None,), "inputs")]
    made = document(
        model(
            signature(serialized, name="c", method=CLASSIFY),
            signature(serialized, name="r", method=REGRESS),
            signature([spec(name="inputs")], name="no_examples", method=REGRESS),
            signature([spec(name="age")]),
        )
    )
    assert examples(made, "/v1/models/m:classify")["c"]["value"] == {"signature_name": "c", "examples": [{"age": 1.5}]}
    assert list(examples(made, "/v1/models/m:regress")) == ["r"]
    assert "/v1/models/m:regress" not in document(model(signature([spec()])))["paths"]


def test_a_large_tensor_has_a_schema_and_no_example():
    one = model(signature([spec(shape=(None, 224, 224, 3), name="image")]))
    made = document(one)
    assert examples(made, "/v1/models/m:predict") == {}
    assert not is_printable(one.signatures["serving_default"])
    assert len(json.dumps(made)) < 500_000


def test_a_guess_says_that_it_is_one():
    made = document(model(signature([spec(dtypes.STRING, (None,), "image_bytes")])))
    assert all("guess" in example["description"] for example in examples(made, "/v1/models/m:predict").values())


NAMES = ["m", "any", "a b", "ä", "50%", "a/b", "a{b}", "a:b", "a?b", "x.y-z", "x_y_z", "x.y.z"]


def test_models_of_any_name_have_paths_and_identifiers_of_their_own():
    made = document(*(model(signature([spec()]), name=name) for name in NAMES))
    paths = [path for path in made["paths"] if path.startswith("/v1/models/") and path.endswith(":predict")]
    named = {tfserving_path.parse_path("POST", path).model.name for path in paths if "{" not in path}
    assert named == set(NAMES)
    simple = {unquote(path.removeprefix("/predict/")) for path in made["paths"] if re.fullmatch(r"/predict/[^{]+", path)}
    assert simple == set(NAMES) - {"a/b"}, "a route that takes one segment cannot take that name"
    identifiers = [operation["operationId"] for _, _, operation in operations(made)]
    assert len(set(identifiers)) == len(identifiers)
    assert all(re.fullmatch(r"\w+", identifier, re.ASCII) for identifier in identifiers)


def operations(made: dict) -> list[tuple[str, str, dict]]:
    return [
        (path, method, operation)
        for path, item in made["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    ]


def test_a_model_that_is_not_ready_is_named_with_the_reason_and_has_no_paths():
    statuses = (ModelStatus("m", (VersionStatus(1, "AVAILABLE"),)), ModelStatus("away", problem="it is away"))
    made = document(model(signature([spec()])), statuses=statuses)
    assert {"name": "away", "description": "Not ready: it is away"} in made["tags"]
    assert not [path for path in made["paths"] if "away" in path]


def test_the_document_is_valid_without_any_model():
    made = document()
    validate(made)
    assert "/v1/models/{model}:predict" in made["paths"]


def test_bookkeeping_signatures_are_not_shown():
    made = document(model(signature([spec()]), signature([], name="__saved_model_init_op")))
    assert "__saved_model_init_op" not in json.dumps(made)


def test_the_other_versions_are_named():
    statuses = (ModelStatus("m", (VersionStatus(3, "AVAILABLE"), VersionStatus(2, "AVAILABLE"), VersionStatus(1, "END"))),)
    made = document(model(signature([spec()]), version=3), statuses=statuses)
    assert made["tags"][0]["description"].startswith("Version 3 (also served: 2).")


def test_a_bare_predict_has_the_schema_of_the_default_model():
    models = (model(signature([spec()]), name="a"), model(signature([spec(name="z")]), name="b"))
    made = document(*models, default="b")
    assert made["paths"]["/predict"]["post"]["requestBody"] == made["paths"]["/predict/b"]["post"]["requestBody"]


def test_every_error_class_is_an_answer_of_every_dialect():
    made = document(model(signature([spec()])))
    every = {error.http_status for error in leaves(errors.GatewayError)}
    assert every == set(error_statuses())
    for dialect in ("tfserving", "openinference", "simple"):
        for status in every:
            assert f"{dialect}.{status}" in made["components"]["responses"]
    answers = made["paths"]["/predict/m"]["post"]["responses"]
    assert set(answers) == {"200", *map(str, every)}
    for status, response in made["components"]["responses"].items():
        assert "X-Request-Id" in response["headers"]
        assert ("Retry-After" in response["headers"]) == status.endswith(".503")


def test_the_answers_are_told_in_the_words_of_the_error_tree():
    made = document()
    for response in made["components"]["responses"].values():
        assert re.fullmatch(r"[A-Z][A-Za-z -]+: ([WF][a-z]+ [^`:;]+\.( |$))+", response["description"]), response["description"]


def leaves(error: type) -> list[type]:
    return [one for child in error.__subclasses__() if child.__module__ == "gateway.errors" for one in (child, *leaves(child))]


def test_a_document_of_fifty_models_stays_small():
    inputs = [spec(dtypes.FLOAT, (None, 10)), spec(dtypes.STRING, (None,), "s")]
    models = [model(*(signature(inputs, name=f"s{n}") for n in range(3)), signature(inputs), name=f"m{n}") for n in range(50)]
    made = openapi_document(served(*models), LIMITS)
    assert len(json.dumps(made)) < 4_000_000
    assert len([path for path in made["paths"] if path.endswith("/infer")]) == 52
