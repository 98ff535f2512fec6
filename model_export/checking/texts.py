"""What a string input may want: texts, pictures, a sound, serialized messages."""

import re

import numpy as np
import tensorflow as tf


def likely_strings(example: bytes) -> tuple[bytes, ...]:
    """Return what a string input may want, likeliest first. `example` is a serialized tf.Example that fits the graph, or empty
    if the graph parses none. Call it outside any graph."""
    black = np.zeros((8, 8, 1), np.uint8)
    png, jpeg = tf.io.encode_png(black).numpy(), tf.io.encode_jpeg(black).numpy()
    wav = tf.audio.encode_wav(np.zeros((16, 1), np.float32), 16000).numpy()
    tensor = tf.io.serialize_tensor(tf.constant([1.0])).numpy()
    contents = (b"text", png, jpeg, b"", b"1", b"{}", b"2024-01-31", wav, tensor)
    return (example, *contents) if example else contents


def other_string(content: bytes, number: int) -> bytes:
    """Return a string of the same kind with another content, for each number from 1 on another: an example with other values,
    a picture of another grey, else a longer text."""
    if content.startswith(b"\x89PNG"):
        return bytes(tf.io.encode_png(_grey(number)).numpy())
    if content.startswith(b"\xff\xd8"):
        return bytes(tf.io.encode_jpeg(_grey(number)).numpy())
    if content.isdigit():
        return str(int(content) + number).encode()
    if re.fullmatch(rb"\d{4}-\d\d-\d\d", content):
        return b"%s-%02d" % (content[:7], number)
    return other_example(content, number) or content + b" more" * number


def other_example(content: bytes, number: int) -> bytes:
    """Return the tf.Example with other values in every feature, or nothing where the bytes are no tf.Example."""
    try:
        example = tf.train.Example.FromString(content)
    except Exception:  # noqa: BLE001 - the protobuf runtimes disagree on the class that says so
        return b""
    for feature in example.features.feature.values():
        for values in (feature.float_list.value, feature.int64_list.value):
            values[:] = [value + number for value in values]
        feature.bytes_list.value[:] = [value + b"x" * number for value in feature.bytes_list.value]
    return bytes(example.SerializeToString()) if example.features.feature else b""


def _grey(number: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((8, 8, 1), number * 40 % 256, np.uint8)
