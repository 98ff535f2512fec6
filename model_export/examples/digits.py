"""The example `digits`: a classifier of real handwritten digits, called with arrays or with PNG files.

`serving_default` takes `image` float[-1,8,8], ink from 0 (paper) to 16; `png` takes `image_bytes` string[-1], PNG files of any
size in white ink on black. Both answer `probabilities` float[-1,10] and `label` int64[-1]. A row's answer depends on that
row alone.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from model_export import request_examples
from model_export.errors import ExportError
from model_export.examples.handwritten_digits import held_out_digits, training_digits
from model_export.sources import keras_export

LEAST_ACCURACY = 0.95
INK = 16.0

_SEED = 7
_EPOCHS = 40
_BATCH = 64


def write(folder: Path, report: Callable[[str], None]) -> None:
    """Train, and write the SavedModel into an empty folder. Raises ExportError under 95 % on the held-out digits."""
    report("training on 1,347 handwritten digits")
    network = _train()
    accuracy = held_out_accuracy(network)
    report(f"{accuracy:.1%} of the held-out digits are right")
    if accuracy < LEAST_ACCURACY:
        raise ExportError(f"training went wrong: {accuracy:.1%} are right, expected at least {LEAST_ACCURACY:.0%}")
    keras_export.save(network, _endpoints(network), folder)
    request_examples.write(folder, _request_examples())


def held_out_accuracy(network: tf.keras.Model) -> float:
    """Return the share of the held-out digits that the network reads right."""
    images, labels = held_out_digits()
    return float(np.mean(network(images).numpy().argmax(axis=1) == labels))


def _request_examples() -> list[request_examples.Example]:
    images, labels = held_out_digits()
    first = [int(np.flatnonzero(labels == digit)[0]) for digit in range(10)]
    return [
        request_examples.example("a handwritten 7", {"image": images[first[7:8]]}),
        request_examples.example("a handwritten 4", {"image": images[first[4:5]]}),
        request_examples.example("the digits from 0 to 9", {"image": images[first]}),
    ]


def _endpoints(network: tf.keras.Model) -> dict[str, keras_export.Endpoint]:
    def classify(image: tf.Tensor) -> dict[str, tf.Tensor]:
        probabilities = tf.nn.softmax(network(image))
        return {"probabilities": probabilities, "label": tf.argmax(probabilities, axis=-1, output_type=tf.int64)}

    def classify_png(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        return classify(tf.map_fn(_decode, image_bytes, fn_output_signature=tf.TensorSpec([8, 8], tf.float32)))

    return {
        "serving_default": (classify, [tf.TensorSpec([None, 8, 8], tf.float32, name="image")]),
        "png": (classify_png, [tf.TensorSpec([None], tf.string, name="image_bytes")]),
    }


def _decode(png: tf.Tensor) -> tf.Tensor:
    pixels = tf.io.decode_png(png, channels=1)
    small = tf.image.resize(pixels, [8, 8], method="area")
    return tf.squeeze(small, axis=-1) * (INK / 255.0)


def _train() -> tf.keras.Model:
    tf.keras.utils.set_random_seed(_SEED)
    layers = tf.keras.layers
    network = tf.keras.Sequential(
        [
            tf.keras.Input((8, 8), name="image"),
            layers.Flatten(),
            layers.Rescaling(1 / INK),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(10),
        ]
    )
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    images, labels = training_digits()
    rate = tf.keras.optimizers.schedules.CosineDecay(0.003, _EPOCHS * (len(images) // _BATCH + 1))
    network.compile(optimizer=tf.keras.optimizers.Adam(rate), loss=loss)
    network.fit(images, labels, batch_size=_BATCH, epochs=_EPOCHS, verbose=0)
    return network
