"""What the example models answer, called as TensorFlow Serving calls them: raw feeds into a session."""

import numpy as np
import pytest
import tensorflow as tf

from model_export.examples.handwritten_digits import held_out_digits, training_digits
from model_export.saved_model import read_signatures

PREDICT, CLASSIFY, REGRESS = (f"tensorflow/serving/{method}" for method in ("predict", "classify", "regress"))


def declared(path):
    def tensors(found):
        return {tensor.name: f"{tensor.dtype_name}{tensor.shape_text}" for tensor in found}

    return {s.name: (s.method, tensors(s.inputs), tensors(s.outputs)) for s in read_signatures(path)}


def example(**features: float) -> bytes:
    proto = tf.train.Example()
    for name, value in features.items():
        proto.features.feature[name].float_list.value.append(value)
    return proto.SerializeToString()


def png(image: np.ndarray, size: int = 8) -> bytes:
    """Write ink 0..16 as grey 0..255, each pixel enlarged to fill the size."""
    grey = np.rint(image * 255 / 16).astype(np.uint8).repeat(size // 8, axis=0).repeat(size // 8, axis=1)
    return tf.io.encode_png(grey[..., np.newaxis]).numpy()


class TestHalfPlusTwo:
    def test_has_the_signatures_of_tensorflow_servings_example(self, built):
        assert declared(built / "half_plus_two" / "1") == {
            "serving_default": (PREDICT, {"x": "float[-1,1]"}, {"y": "float[-1,1]"}),
            "regress_x_to_y": (REGRESS, {"inputs": "string[?]"}, {"outputs": "float[-1,1]"}),
            "regress_x_to_y2": (REGRESS, {"inputs": "string[?]"}, {"outputs": "float[-1,1]"}),
            "regress_x2_to_y3": (REGRESS, {"inputs": "float[-1,1]"}, {"outputs": "float[-1,1]"}),
            "classify_x_to_y": (CLASSIFY, {"inputs": "string[?]"}, {"scores": "float[-1,1]"}),
        }

    @pytest.mark.parametrize("x", [[1.0, 2.0, 5.0], [[1.0], [2.0], [5.0]], 4.0, [[1.0, 2.0], [3.0, 4.0]], []])
    def test_answers_any_shape_with_the_same_shape(self, built, load, x):
        """TensorFlow Serving's own REST example sends three bare numbers for a declared [-1,1]."""
        y = load(built / "half_plus_two" / "1")("serving_default", x=x)["y"]

        np.testing.assert_array_equal(y, np.array(x, np.float32) * np.float32(0.5) + 2)

    @pytest.mark.parametrize(
        ("signature", "output", "expected"),
        [
            ("regress_x_to_y", "outputs", [[2.5], [4.5]]),
            ("regress_x_to_y2", "outputs", [[3.5], [5.5]]),
            ("classify_x_to_y", "scores", [[2.5], [4.5]]),
        ],
    )
    def test_answers_serialized_examples(self, built, load, signature, output, expected):
        answer = load(built / "half_plus_two" / "1")(signature, inputs=[example(x=1), example(x=5, x2=9)])

        np.testing.assert_array_equal(answer[output], expected)

    def test_regresses_x2_from_the_tensor_itself(self, built, load):
        answer = load(built / "half_plus_two" / "1")("regress_x2_to_y3", inputs=[[1.0], [4.0]])

        np.testing.assert_array_equal(answer["outputs"], [[3.5], [5.0]])

    def test_refuses_an_example_without_x(self, built, load):
        with pytest.raises(tf.errors.InvalidArgumentError, match="x"):
            load(built / "half_plus_two" / "1")("regress_x_to_y", inputs=[example(x2=1)])


class TestDense:
    def test_takes_ten_features_and_gives_a_bare_number_for_each_row(self, built):
        signature = (PREDICT, {"features": "float[-1,10]"}, {"prediction": "float[-1]"})
        assert declared(built / "dense" / "1") == {"serving_default": signature}

    def test_predicts_near_the_sum(self, built, load):
        features = np.random.default_rng(12345).uniform(-10, 10, (1000, 10))
        predictions = load(built / "dense" / "1")("serving_default", features=features)["prediction"]

        assert predictions.shape == (1000,)
        assert np.abs(predictions - features.sum(axis=1)).mean() < 0.1

    @pytest.mark.parametrize("features", [[0.42] * 10, list(range(1, 11)), [0.0] * 10])
    def test_predicts_near_the_sum_of_numbers_that_people_try_first(self, built, load, features):
        predictions = load(built / "dense" / "1")("serving_default", features=[features])["prediction"]

        assert predictions[0] == pytest.approx(sum(features), abs=0.5)


class TestDigits:
    def test_takes_arrays_and_png_files(self, built):
        outputs = {"label": "int64[-1]", "probabilities": "float[-1,10]"}
        assert declared(built / "digits" / "1") == {
            "serving_default": (PREDICT, {"image": "float[-1,8,8]"}, outputs),
            "png": (PREDICT, {"image_bytes": "string[-1]"}, outputs),
        }

    def test_no_held_out_digit_was_trained_on(self):
        trained = {image.tobytes() for image in training_digits()[0]}
        held_out = [image.tobytes() for image in held_out_digits()[0]]

        assert len(trained) + len(held_out) == 1797
        assert not trained.intersection(held_out)

    def test_reads_held_out_digits_as_arrays(self, built, load):
        images, labels = held_out_digits()
        answer = load(built / "digits" / "1")("serving_default", image=images)

        assert np.mean(answer["label"] == labels) >= 0.95
        np.testing.assert_array_equal(answer["probabilities"].argmax(axis=1), answer["label"])
        np.testing.assert_allclose(answer["probabilities"].sum(axis=1), 1, rtol=1e-5)

    @pytest.mark.parametrize("size", [8, 64])
    def test_reads_held_out_digits_as_png_files_of_any_size(self, built, load, size):
        images, labels = held_out_digits()
        answer = load(built / "digits" / "1")("png", image_bytes=[png(image, size) for image in images])

        assert np.mean(answer["label"] == labels) >= 0.95

    def test_answers_each_row_as_if_it_were_alone(self, built, load):
        model = load(built / "digits" / "1")
        images = held_out_digits()[0][:16]
        together = model("serving_default", image=images)["probabilities"]
        alone = [model("serving_default", image=[image])["probabilities"][0] for image in images]

        np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-6)

    def test_reads_a_png_file_like_the_array_that_it_shows(self, built, load):
        model = load(built / "digits" / "1")
        images = held_out_digits()[0][:16]
        shown = model("png", image_bytes=[png(image) for image in images])["probabilities"]

        np.testing.assert_allclose(shown, model("serving_default", image=images)["probabilities"], atol=0.02)

    def test_refuses_bytes_that_are_no_image(self, built, load):
        with pytest.raises(tf.errors.InvalidArgumentError):
            load(built / "digits" / "1")("png", image_bytes=[b"not an image"])


BASKET = {
    "sku": [b"mug", "crème brûlée".encode(), b"mug", b"bad \xff utf-8", b""],
    "quantity": [3, 1, 0, 1_000_000, -2],
    "unit_price": [7.5, 0.1, 7.5, 19.99, 1.0],
    "express": [True, False, True, False, False],
}


class TestBasket:
    def answer(self, built, load):
        return load(built / "basket" / "1")("serving_default", **BASKET)

    def test_takes_and_gives_many_types(self, built):
        inputs = {"express": "bool[-1]", "quantity": "int32[-1]", "sku": "string[-1]", "unit_price": "float[-1]"}
        outputs = {"total": "float[-1]", "total_cents": "int64[-1]", "summary": "string[-1]", "barcode_bytes": "string[-1]"}
        assert declared(built / "basket" / "1") == {"serving_default": (PREDICT, inputs, outputs)}

    def test_prices_each_line(self, built, load):
        answer = self.answer(built, load)

        assert answer["total_cents"].tolist() == [2740, 10, 490, 1_999_000_000, -200]
        np.testing.assert_allclose(answer["total"], [27.4, 0.1, 4.9, 19_990_000, -2], rtol=1e-6)

    def test_summarizes_each_line_in_utf8_whatever_the_sku(self, built, load):
        assert [text.decode("utf-8") for text in self.answer(built, load)["summary"]] == [
            "3 mug à 7.50 € = 27.40 € express",
            "1 crème brûlée à 0.10 € = 0.10 €",
            "0 mug à 7.50 € = 4.90 € express",
            "1000000 bad \ufffd utf-8 à 19.99 € = 19990000.00 €",
            "-2  à 1.00 € = -2.00 €",
        ]

    def test_gives_each_sku_its_own_barcode_of_nine_bytes_that_are_no_text(self, built, load):
        barcodes = self.answer(built, load)["barcode_bytes"].tolist()

        assert barcodes[0] == barcodes[2]
        assert len(set(barcodes)) == 4
        assert {len(barcode) for barcode in barcodes} == {9}
        for barcode in barcodes:
            with pytest.raises(UnicodeDecodeError):
                barcode.decode("utf-8")

    def test_answers_each_row_as_if_it_were_alone(self, built, load):
        together = self.answer(built, load)
        model = load(built / "basket" / "1")
        for row in range(5):
            alone = model("serving_default", **{name: values[row : row + 1] for name, values in BASKET.items()})
            assert {name: value[0] for name, value in alone.items()} == {n: v[row] for n, v in together.items()}

    def test_answers_an_empty_basket(self, built, load):
        answer = load(built / "basket" / "1")("serving_default", **{name: [] for name in BASKET})

        assert {name: value.shape for name, value in answer.items()} == dict.fromkeys(answer, (0,))
