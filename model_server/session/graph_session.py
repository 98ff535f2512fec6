"""One TensorFlow session that many requests run in at the same time.

``Session.run`` checks fed shapes against the graph and costs 100 us; tensorflow_model_server does neither. The call
below it, ``_call_tf_sessionrun``, behaves as upstream's does, and lets go of the interpreter lock. It is private, so
TensorFlow is pinned, a test covers it, and ``_make_callable_from_options`` stands in where it is missing.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import config_pb2
from tensorflow.python.client import pywrap_tf_session

from model_server.status import ServingError, from_number, invalid_argument
from model_server.tensors import Array

Feeds = Mapping[str, Array]


class Runner(Protocol):
    """Runs part of a graph. Thread-safe."""

    def run(self, feeds: Feeds, fetches: Sequence[str], timeout_ms: int | None) -> list[Array]:
        """Feed tensors by name and return the fetched ones, in order; raises ServingError."""


def qualified(tensor_name: str) -> str:
    """A tensor's full name: an operation's name alone means its first output."""
    return tensor_name if ":" in tensor_name else f"{tensor_name}:0"


class GraphSession:
    """A loaded graph with its session; owns the session."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._handles: dict[str, Any] = {}
        self._run = DirectCall(session) if hasattr(session, "_call_tf_sessionrun") else CallableCall(session)

    def dtype_of(self, tensor_name: str) -> int:
        """The DataType number of a tensor; DT_INVALID if the graph has none of that name, as for an operation."""
        try:
            number: int = self._tensor(tensor_name).dtype.base_dtype.as_datatype_enum
        except ServingError:
            return int(types_pb2.DT_INVALID)
        return number

    def run(self, feeds: Feeds, fetches: Sequence[str], timeout_ms: int | None) -> list[Array]:
        """See Runner. Shapes are not compared with the graph's; a wrong one fails in the operation that minds."""
        try:
            fed = {self._handle(name): array for name, array in feeds.items()}
            values = self._run(fed, [self._handle(name) for name in fetches], timeout_ms)
        except tf.errors.OpError as error:
            raise from_number(error.error_code, error.message) from error
        except UnicodeDecodeError as error:  # TensorFlow's message quotes bytes of the request
            raise invalid_argument(error.object.decode(errors="replace")) from error
        except (TypeError, ValueError) as error:
            raise invalid_argument(str(error)) from error
        return [value if isinstance(value, np.ndarray) else _as_array(value) for value in values]

    def close(self) -> None:
        """Free the graph's memory."""
        self._session.close()

    def _handle(self, tensor_name: str) -> Any:
        handle = self._handles.get(tensor_name)
        if handle is None:
            handle = self._handles[tensor_name] = self._run.handle(self._tensor(tensor_name))
        return handle

    def _tensor(self, tensor_name: str) -> Any:
        try:
            return self._session.graph.get_tensor_by_name(qualified(tensor_name))
        except (KeyError, ValueError) as error:
            raise invalid_argument(
                f"Tensor {tensor_name}, specified in either feed_devices or fetch_devices was not found in the Graph"
            ) from error


class DirectCall:
    """``Session._call_tf_sessionrun``: any feeds and fetches, a time-out for each call."""

    def __init__(self, session: Any) -> None:
        self._session = session
        session._extend_graph()

    def handle(self, tensor: Any) -> Any:
        """What the call wants instead of a tensor."""
        return tensor._as_tf_output()

    def __call__(self, feeds: Mapping[Any, Array], fetches: Sequence[Any], timeout_ms: int | None) -> list[Any]:
        """Run, at most ``timeout_ms`` long."""
        if timeout_ms is None:
            return self._session._call_tf_sessionrun(None, feeds, fetches, [], None)  # type: ignore[no-any-return]
        options = config_pb2.RunOptions(timeout_in_ms=timeout_ms).SerializeToString()
        buffer = pywrap_tf_session.TF_NewBufferFromString(options)
        try:
            return self._session._call_tf_sessionrun(buffer, feeds, fetches, [], None)  # type: ignore[no-any-return]
        finally:
            pywrap_tf_session.TF_DeleteBuffer(buffer)


class CallableCall:
    """``Session._make_callable_from_options``: one callable for each set of feeds and fetches, without time-outs."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._callables: dict[tuple[tuple[str, ...], tuple[str, ...]], Any] = {}

    def handle(self, tensor: Any) -> str:
        """What the call wants instead of a tensor."""
        return str(tensor.name)

    def __call__(self, feeds: Mapping[str, Array], fetches: Sequence[str], timeout_ms: int | None) -> list[Any]:
        """Run; a deadline cannot be set for a single call, so ``timeout_ms`` has no effect."""
        del timeout_ms
        key = (tuple(sorted(feeds)), tuple(fetches))
        run = self._callables.get(key)
        if run is None:
            options = config_pb2.CallableOptions(feed=key[0], fetch=key[1])
            run = self._callables[key] = self._session._make_callable_from_options(options)
        return run(*(feeds[name] for name in key[0]))  # type: ignore[no-any-return]


def _as_array(value: Any) -> Array:
    """A fetched scalar arrives as numpy scalar or bytes."""
    return np.array(value, np.object_) if isinstance(value, bytes) else np.asarray(value)
