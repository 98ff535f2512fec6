"""scikit-learn's 1,797 handwritten digits, split once and for all: 1,347 to train on, 450 held out."""

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits

HELD_OUT = 450
_SPLIT_SEED = 0

Digits = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]


def training_digits() -> Digits:
    """Return images float32[1347,8,8], ink from 0 to 16, and their labels int64[1347]."""
    images, labels = _shuffled()
    return images[HELD_OUT:], labels[HELD_OUT:]


def held_out_digits() -> Digits:
    """Return the images float32[450,8,8] and labels int64[450] that no model here was trained on."""
    images, labels = _shuffled()
    return images[:HELD_OUT], labels[:HELD_OUT]


def _shuffled() -> Digits:
    digits = load_digits()
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(digits.target))
    return digits.images[order].astype(np.float32), digits.target[order].astype(np.int64)
