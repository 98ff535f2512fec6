"""Builds the SavedModels of the benchmark, once, into a cache folder: ``python -m benchmarks.saved_models FOLDER``.

`dense` and `dense_other` have the shape of the project's example `dense`, with random weights. `image` takes
`image` float[-1,224,224,3], or under the signature `bytes` the same as `image_bytes` string[-1], little-endian; both answer
`scores` float[-1,10]. A process of its own: TensorFlow stays out of the process that measures.
"""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from benchmarks import workload
from benchmarks.contender import Floats
from benchmarks.workload import FEATURES, IMAGE_NUMBERS, IMAGE_SHAPE, SQUARE
from model_export.sources import keras_export

HIDDEN = 32


def main(models_dir: Path) -> None:
    """Build what is missing. A model that is there is complete: each is renamed into place."""
    models_dir.mkdir(parents=True, exist_ok=True)
    for rest in models_dir.glob(".*"):  # of a run that was cut short
        shutil.rmtree(rest)
    for seed, name in enumerate((workload.DENSE, workload.OTHER)):
        if not (models_dir / name).exists():
            _publish(_write_dense(models_dir, name, seed), models_dir / name)
    if not (models_dir / workload.IMAGE).exists():
        _publish(_write_image(models_dir), models_dir / workload.IMAGE)


def _publish(written: Path, model: Path) -> None:
    """Make ``model`` with the written folder as its version 1."""
    building = model.with_name(f".{model.name}-building")
    building.mkdir()
    written.rename(building / "1")
    building.rename(model)


def _write_dense(models_dir: Path, name: str, seed: int) -> Path:
    weights = _random_weights(seed)
    network = keras_network(weights)
    np.savez(workload.weights_file(models_dir, name), allow_pickle=False, **weights)

    def predict(features: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"prediction": tf.squeeze(network(features), axis=-1)}

    inputs = [tf.TensorSpec([None, FEATURES], tf.float32, name="features")]
    folder = models_dir / f".{name}-written"
    keras_export.save(network, {"serving_default": (predict, inputs)}, folder)
    return folder


def keras_network(weights: Mapping[str, Floats]) -> tf.keras.Model:
    """The network of `dense`, float32[rows,10] -> float32[rows,1], with these weights."""
    layers = [tf.keras.layers.Dense(HIDDEN, activation="relu"), tf.keras.layers.Dense(1)]
    network = tf.keras.Sequential([tf.keras.Input((FEATURES,), name="features"), *layers])
    network.set_weights([weights[name] for name in workload.WEIGHTS])
    return network


def _random_weights(seed: int) -> dict[str, Floats]:
    rng = np.random.default_rng(seed)
    shapes = ((FEATURES, HIDDEN), (HIDDEN,), (HIDDEN, 1), (1,))
    return {
        name: rng.normal(scale=0.3, size=shape).astype(np.float32) for name, shape in zip(workload.WEIGHTS, shapes, strict=True)
    }


def _write_image(models_dir: Path) -> Path:
    side = IMAGE_SHAPE[0] // SQUARE
    weights = tf.constant(workload.image_weights())

    @tf.function(input_signature=[tf.TensorSpec([None, *IMAGE_SHAPE], tf.float32, name="image")])  # type: ignore[untyped-decorator]
    def score(image: tf.Tensor) -> dict[str, tf.Tensor]:
        averages = tf.reduce_mean(tf.reshape(image, [-1, side, SQUARE, side, SQUARE, 3]), axis=[2, 4])
        return {"scores": tf.reshape(averages, [-1, side * side * 3]) @ weights}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])  # type: ignore[untyped-decorator]
    def score_bytes(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        numbers = tf.io.decode_raw(image_bytes, tf.float32, fixed_length=IMAGE_NUMBERS * 4)
        return dict(score(tf.reshape(numbers, [-1, *IMAGE_SHAPE])))

    folder = models_dir / f".{workload.IMAGE}-written"
    tf.saved_model.save(tf.Module(), str(folder), signatures={"serving_default": score, "bytes": score_bytes})
    return folder


if __name__ == "__main__":
    main(Path(sys.argv[1]))
