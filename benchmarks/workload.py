"""What is asked and what is right: the models of the benchmark, random inputs for them, and their answers by NumPy."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from benchmarks.contender import Floats

DENSE: Final = "dense"
# The same network with other weights.
OTHER: Final = "dense_other"
IMAGE: Final = "image"
IMAGE_SHAPE: Final = (224, 224, 3)
IMAGE_NUMBERS: Final = 224 * 224 * 3
FEATURES: Final = 10
# Of `dense`, in the order of its layers.
WEIGHTS: Final = ("hidden", "hidden_bias", "last", "last_bias")
# The image model averages squares of this many pixels a side, and weighs the averages.
SQUARE: Final = 32
_TOLERANCE: Final = 1e-3


class Tensors(NamedTuple):
    """The names of a model's input and output."""

    input: str
    output: str


TENSORS: Final = {DENSE: Tensors("features", "prediction"), IMAGE: Tensors("image", "scores")}


@dataclass(frozen=True)
class Workload:
    """One model. ``draw(rng, rows)`` makes inputs; ``expect(inputs)`` gives the model's own answers to them."""

    model: str
    saved_model: Path
    draw: Callable[[np.random.Generator, int], Floats]
    expect: Callable[[Floats], Floats]


def dense(models_dir: Path, name: str = DENSE) -> Workload:
    """10 floats in, one out, through a hidden layer of 32; the weights were written beside the SavedModel's folder."""
    with np.load(weights_file(models_dir, name)) as stored:
        hidden, hidden_bias, last, last_bias = (stored[name] for name in WEIGHTS)

    def expect(rows: Floats) -> Floats:
        answer: Floats = (np.maximum(rows @ hidden + hidden_bias, 0) @ last + last_bias)[:, 0]
        return answer

    return Workload(name, models_dir / name / "1", _draw_rows, expect)


def image(models_dir: Path) -> Workload:
    """A picture of 224 x 224 x 3 floats in, ten scores out, with next to no arithmetic: what is measured is the way there."""
    weights = image_weights()

    def expect(images: Floats) -> Floats:
        side = IMAGE_SHAPE[0] // SQUARE
        averages = images.reshape(-1, side, SQUARE, side, SQUARE, 3).mean(axis=(2, 4), dtype=np.float32)
        scores: Floats = averages.reshape(len(images), -1) @ weights
        return scores

    return Workload(IMAGE, models_dir / IMAGE / "1", _draw_images, expect)


def image_weights() -> Floats:
    """The image model's only weights, float32[147,10]."""
    return np.random.default_rng(3).normal(size=((IMAGE_SHAPE[0] // SQUARE) ** 2 * 3, 10)).astype(np.float32)


def weights_file(models_dir: Path, name: str) -> Path:
    """Where the weights of such a model are."""
    return models_dir / f"{name}.npz"


def is_right(answered: Floats, expected: Floats) -> bool:
    """Whether predictions are the expected ones, shape and all; float32 arithmetic may differ in the last digits."""
    return answered.shape == expected.shape and bool(np.allclose(answered, expected, rtol=_TOLERANCE, atol=_TOLERANCE))


def _draw_rows(rng: np.random.Generator, rows: int) -> Floats:
    return rng.uniform(-10, 10, (rows, FEATURES)).astype(np.float32)


def _draw_images(rng: np.random.Generator, rows: int) -> Floats:
    return rng.random((rows, *IMAGE_SHAPE), np.float32)
