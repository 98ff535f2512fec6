"""Opens TensorFlow's first session, so that what only that one says does not stand between the log's JSON lines.

Once for each process TensorFlow notes, past every log level, that an optional compiler pass is off.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf


def open_quietly(session_config: Any) -> None:
    """Run a first session with ``session_config``, a ConfigProto: the first one decides on the threads that all share."""
    graph = tf.Graph()
    with _stderr_muted(), graph.as_default(), tf.compat.v1.Session(graph=graph, config=session_config) as session:
        session.run(tf.constant(0))


@contextmanager
def _stderr_muted() -> Iterator[None]:
    """Mute the file descriptor: TensorFlow writes from C++. Whatever Python logs meanwhile is lost too."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)
