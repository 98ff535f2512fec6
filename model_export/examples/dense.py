"""The example `dense`: `features` float[-1,10] -> `prediction` float[-1], near the sum of the ten.

A network with one hidden layer of 32, trained on features drawn evenly from [-10, 10]. The output has no second
dimension, so one example's answer is a bare number.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from model_export import request_examples
from model_export.errors import ExportError
from model_export.sources import keras_export

FEATURES = 10
RANGE = 10.0
MOST_ERROR = 0.1

_SEED = 7
_STEPS = 3000
_BATCH = 256

Floats = npt.NDArray[np.float32]


def write(folder: Path, report: Callable[[str], None]) -> None:
    """Train, and write the SavedModel into an empty folder. Raises ExportError if the answers are not near the sums."""
    rng = np.random.default_rng(_SEED)
    report("training on random sums")
    network = _train(rng)
    error = mean_absolute_error(network, rng)
    report(f"mean error on held-out inputs {error:.3f}")
    if error >= MOST_ERROR:
        raise ExportError(f"training went wrong: the mean error is {error:.3f}, expected under {MOST_ERROR}")

    def predict(features: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"prediction": tf.squeeze(network(features), axis=-1)}

    inputs = [tf.TensorSpec([None, FEATURES], tf.float32, name="features")]
    keras_export.save(network, {"serving_default": (predict, inputs)}, folder)
    request_examples.write(
        folder,
        [
            request_examples.example("0.5 to 5", {"features": np.arange(1, FEATURES + 1, dtype=np.float32)[np.newaxis] / 2}),
            request_examples.example("four random rows", {"features": draw(np.random.default_rng(_SEED), 4).round(2)}),
        ],
    )


def mean_absolute_error(network: tf.keras.Model, rng: np.random.Generator) -> float:
    """Return the mean distance between answers and sums, over 4,096 new inputs."""
    features = draw(rng, 4096)
    return float(np.abs(network(features).numpy()[:, 0] - features.sum(axis=1)).mean())


def draw(rng: np.random.Generator, rows: int) -> Floats:
    """Return inputs like those trained on: float32[rows,10] from [-10, 10]."""
    return rng.uniform(-RANGE, RANGE, (rows, FEATURES)).astype(np.float32)


def _train(rng: np.random.Generator) -> tf.keras.Model:
    tf.keras.utils.set_random_seed(_SEED)
    layers = [tf.keras.layers.Dense(32, activation="relu"), tf.keras.layers.Dense(1)]
    network = tf.keras.Sequential([tf.keras.Input((FEATURES,), name="features"), *layers])
    rate = tf.keras.optimizers.schedules.CosineDecay(0.01, _STEPS)
    network.compile(optimizer=tf.keras.optimizers.Adam(rate), loss="mse")
    features = draw(rng, _STEPS * _BATCH)
    network.fit(features, features.sum(axis=1), batch_size=_BATCH, epochs=1, verbose=0)
    return network
