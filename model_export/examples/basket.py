"""The example `basket`: prices the lines of a shopping basket, with inputs and outputs of many types.

`sku` string[-1], `quantity` int32[-1], `unit_price` float[-1] and `express` bool[-1] -> `total` float[-1], `total_cents`
int64[-1], `summary` string[-1] (UTF-8) and `barcode_bytes` string[-1] (never UTF-8). A row's answer depends on that row alone.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from model_export import request_examples

EXPRESS_CENTS = 490
BARCODE_MARK = b"\xff"

_SIGNATURE = [
    tf.TensorSpec([None], tf.string, name="sku"),
    tf.TensorSpec([None], tf.int32, name="quantity"),
    tf.TensorSpec([None], tf.float32, name="unit_price"),
    tf.TensorSpec([None], tf.bool, name="express"),
]


def write(folder: Path, report: Callable[[str], None]) -> None:
    """Write the SavedModel into an empty folder."""
    tf.saved_model.save(tf.Module(), str(folder), signatures=tf.function(_price, input_signature=_SIGNATURE))
    basket = {
        "sku": np.array([b"mug", b"t-shirt", b"poster"], object),
        "quantity": np.array([3, 1, 2], np.int32),
        "unit_price": np.array([7.5, 19.99, 4.25], np.float32),
        "express": np.array([True, False, False]),
    }
    request_examples.write(
        folder,
        [
            request_examples.example("one line, express", {name: column[:1] for name, column in basket.items()}),
            request_examples.example("a basket of three lines", basket),
        ],
    )


def _price(sku: tf.Tensor, quantity: tf.Tensor, unit_price: tf.Tensor, express: tf.Tensor) -> dict[str, tf.Tensor]:
    """Price each line: quantity times the unit price, rounded to cents, and 4.90 more when it goes express."""
    unit_cents = tf.cast(tf.round(tf.cast(unit_price, tf.float64) * 100), tf.int64)
    express_cents = tf.where(express, tf.constant(EXPRESS_CENTS, tf.int64), tf.constant(0, tf.int64))
    total_cents = unit_cents * tf.cast(quantity, tf.int64) + express_cents
    return {
        "total": tf.cast(_euros(total_cents), tf.float32),
        "total_cents": total_cents,
        "summary": _summary(sku, quantity, unit_cents, total_cents, express),
        "barcode_bytes": _barcode(sku),
    }


def _euros(cents: tf.Tensor) -> tf.Tensor:
    return tf.cast(cents, tf.float64) / 100


def _summary(
    sku: tf.Tensor, quantity: tf.Tensor, unit_cents: tf.Tensor, total_cents: tf.Tensor, express: tf.Tensor
) -> tf.Tensor:
    """Text like `3 mug à 7.50 € = 27.40 € express`; what is no UTF-8 in the sku becomes U+FFFD."""
    name = tf.strings.unicode_transcode(sku, "UTF-8", "UTF-8", errors="replace")
    count = tf.strings.as_string(quantity)
    unit, total = (tf.strings.as_string(_euros(cents), precision=2) for cents in (unit_cents, total_cents))
    suffix = tf.where(express, " express", "")
    return tf.strings.join([count, " ", name, " à ", unit, " € = ", total, " €", suffix])


def _barcode(sku: tf.Tensor) -> tf.Tensor:
    """Nine raw bytes: a mark that no UTF-8 text holds, and the sku's 64-bit FarmHash, lowest byte first."""
    fingerprint = tf.strings.to_hash_bucket_fast(sku, num_buckets=2**63 - 1)
    shifts = tf.range(0, 64, 8, dtype=tf.int64)
    octets = tf.bitwise.bitwise_and(tf.bitwise.right_shift(fingerprint[:, tf.newaxis], shifts), 255)
    alphabet = tf.constant([bytes([octet]) for octet in range(256)])
    return tf.strings.join([BARCODE_MARK, tf.strings.reduce_join(tf.gather(alphabet, octets), axis=-1)])
