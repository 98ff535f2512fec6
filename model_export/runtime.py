"""Starts TensorFlow, which takes seconds, without the notices that it writes to stderr by default."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def is_started() -> bool:
    """Whether this process has imported TensorFlow already."""
    return "tensorflow" in sys.modules


def start() -> None:
    """Import TensorFlow, silent but for errors. TF_CPP_MIN_LOG_LEVEL in the environment wins."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf  # noqa: PLC0415 - commands that need no TensorFlow must not wait for it

    tf.get_logger().setLevel("ERROR")
    # The first session ever says that an optional compiler pass is off, once and past every log level.
    with _stderr_muted(), tf.Graph().as_default(), tf.compat.v1.Session() as session:
        session.run(tf.constant(0))


@contextmanager
def _stderr_muted() -> Iterator[None]:
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)
