"""The exported examples answer through the gateway, in both dialects."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from model_export.examples.handwritten_digits import held_out_digits

ROWS = 100


@pytest.fixture(scope="module")
def digits():
    images, labels = held_out_digits()
    return images[:ROWS], labels[:ROWS]


def png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.round(image * 255 / 16).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def b64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}


def test_tensorflow_servings_first_example(stack):
    response = stack.post("/v1/models/half_plus_two:predict", {"instances": [1.0, 2.0, 5.0]})
    assert response.status_code == 200
    assert response.json() == {"predictions": [2.5, 3.0, 4.5]}


def test_half_plus_two_in_columnar_format_and_as_declared(stack):
    assert stack.post("/v1/models/half_plus_two:predict", {"inputs": [[1.0], [2.0]]}).json() == {"outputs": [[2.5], [3.0]]}


def test_dense_answers_near_the_sum(stack):
    features = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    response = stack.post("/predict", {"features": features})
    body = response.json()
    assert response.status_code == 200
    assert body["prediction"] == pytest.approx(sum(features), abs=0.5)
    assert {key: body[key] for key in ("ok", "status", "model", "model_version")} == {
        "ok": True,
        "status": "success",
        "model": "dense",
        "model_version": "1",
    }


def test_at_least_95_of_100_held_out_digits_are_read_right_from_arrays(stack, digits):
    images, labels = digits
    response = stack.post("/v1/models/digits:predict", {"instances": images.tolist()})
    predictions = response.json()["predictions"]
    assert len(predictions) == ROWS
    assert sum(prediction["label"] == label for prediction, label in zip(predictions, labels, strict=True)) >= 95
    assert all(sum(prediction["probabilities"]) == pytest.approx(1, abs=1e-4) for prediction in predictions)


def test_at_least_95_of_100_held_out_digits_are_read_right_from_png_files(stack, digits):
    images, labels = digits
    document = {"signature_name": "png", "instances": [b64(png(image)) for image in images]}
    predictions = stack.post("/v1/models/digits:predict", document).json()["predictions"]
    assert sum(prediction["label"] == label for prediction, label in zip(predictions, labels, strict=True)) >= 95


def test_one_digit_as_a_simple_prediction(stack, digits):
    images, labels = digits
    answers = [stack.post("/predict/digits", {"image": image.tolist()}).json()["prediction"]["label"] for image in images[:20]]
    assert sum(answer == label for answer, label in zip(answers, labels[:20], strict=True)) >= 18


def test_several_inputs_and_outputs_of_different_dtypes(stack):
    rows = [
        {"sku": "caf\u00e9-1", "quantity": 2, "unit_price": 1.5, "express": False},
        {"sku": {"b64": "YS0y"}, "quantity": 3, "unit_price": 0.5, "express": False},
    ]
    predictions = stack.post("/v1/models/basket:predict", {"instances": rows}).json()["predictions"]
    assert [prediction["total"] for prediction in predictions] == [3.0, 1.5]
    assert [prediction["total_cents"] for prediction in predictions] == [300, 150]
    assert "caf\u00e9-1" in predictions[0]["summary"]
    assert set(predictions[0]["barcode_bytes"]) == {"b64"}
    single = stack.post("/predict/basket", rows[0]).json()["prediction"]
    assert single == predictions[0]


def test_every_signature_of_every_model_is_in_its_metadata(stack):
    for name, signatures in {
        "half_plus_two": {"serving_default", "regress_x_to_y", "regress_x_to_y2", "regress_x2_to_y3", "classify_x_to_y"},
        "digits": {"serving_default", "png"},
    }.items():
        document = stack.get(f"/v1/models/{name}/metadata").json()
        assert signatures <= set(document["metadata"]["signature_def"]["signature_def"])
        assert document["model_spec"]["version"] == "1"


def test_the_list_of_models(stack):
    models = stack.get("/v1/models").json()["models"]
    assert {model["name"]: model["ready"] for model in models} == dict.fromkeys(
        ("basket", "dense", "digits", "half_plus_two"), True
    )
