"""The calls of the model server: deadlines, the one retry, and gRPC statuses as the gateway's errors. For one event loop."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import grpc
from grpc import aio

from gateway.backend import replies, stubs
from gateway.backend.connection import Connection
from gateway.backend.examples import encode_input, read_classifications, read_regressions
from gateway.backend.statuses import Away, error_of_call, is_away
from gateway.backend.tensor_proto import decode_tensor, encode_tensor
from gateway.backend.wire import delimited_field
from gateway.deadline import Deadline
from gateway.errors import Cancelled, GatewayError, Internal, Unknown
from gateway.inference.examples import Classifications, Examples, Regressions
from gateway.inference.signature import ModelRef, Prediction, Signature, Tensors
from gateway.inference.status import ModelStatus
from gateway.serving_tls import ServingTls
from gateway.telemetry.spans import OK, CallSpan, Spans

# The server's methods and the messages of their replies.
_REPLIES: Final = {
    "PredictionService/Predict": stubs.PredictResponse,
    "PredictionService/Classify": stubs.ClassificationResponse,
    "PredictionService/Regress": stubs.RegressionResponse,
    "PredictionService/GetModelMetadata": stubs.GetModelMetadataResponse,
    "ModelService/GetModelStatus": stubs.GetModelStatusResponse,
    "ModelService/HandleReloadConfigRequest": stubs.ReloadConfigResponse,
}
_PACKAGE: Final = "tensorflow.serving."

Metadata: TypeAlias = tuple[tuple[str, str], ...] | None


class BackendClient:
    """The calls that the gateway makes to a TensorFlow Serving ``target`` (``host:port`` or a gRPC target).

    With ``tls`` they go by TLS. When a caller is cancelled, its call is cancelled at the server too. ``answered_s`` is when the
    server last answered any call, be it with an error, or else when the client was started; in seconds of ``time.monotonic``.
    ``calls_again``: whether a call that finds the server away is made once more; not where another server can have it.

    ``by_proxy``: whether gRPC looks at http_proxy, as it does by itself.
    """

    def __init__(self, target: str, tls: ServingTls | None = None, *, by_proxy: bool = True) -> None:
        self.connection = Connection(target, tls, by_proxy=by_proxy)
        self.answered_s = 0.0
        self.calls_again = True
        self._calls: dict[str, aio.UnaryUnaryMultiCallable[bytes, Any]] = {}

    @property
    def is_connected(self) -> bool:
        """Whether the connection to the server stands."""
        return self.connection.is_up

    @property
    def problem(self) -> str:
        """Why there is no connection, where a setting may be the cause; else empty."""
        return self.connection.problem

    def on_change(self, call: Callable[[], object]) -> None:
        """Have ``call`` called whenever ``is_connected`` has changed."""
        self.connection.on_change = call

    def start(self) -> None:
        """Open the channel on the running event loop. Until then, and after ``close``, every call finds the server away."""
        self.answered_s = time.monotonic()
        self.connection.open(self._use)

    async def close(self) -> None:
        """Close the channel; calls in flight find the server away."""
        self._calls.clear()
        await self.connection.close()

    def _use(self, channel: aio.Channel) -> None:
        for method, reply in _REPLIES.items():
            self._calls[method] = channel.unary_unary(f"/{_PACKAGE}{method}", None, reply.FromString)

    async def predict(
        self,
        model: ModelRef,
        signature: Signature,
        inputs: Tensors,
        outputs: tuple[str, ...],
        deadline: Deadline,
        *,
        spans: Spans = (),
    ) -> Prediction:
        """Run ``signature`` of ``model`` on ``inputs``; ``outputs`` names the wanted ones (none: all).

        ``spans`` are those of the requests that the call is for: it belongs to the trace of one, and the server is told.

        Raises GatewayError: the server's status, as ``statuses`` maps it; Unavailable when the server is away; Internal if an
        output is not of the dtype that the signature declares.
        """
        request = stubs.PredictRequest(model_spec=_model_spec(model, signature.name), output_filter=outputs)
        for name, array in inputs.items():
            encode_tensor(array, request.inputs[name])
        response = await self._call("PredictionService/Predict", request.SerializeToString(), deadline, spans)
        return Prediction(
            model=model.name,
            version=response.model_spec.version.value,
            signature=signature.name,
            outputs=_outputs(response, signature),
        )

    async def classify(
        self, model: ModelRef, signature: str, examples: Examples, deadline: Deadline, *, spans: Spans = ()
    ) -> Classifications:
        """Labels and scores for each of ``examples``. Raises GatewayError as ``predict`` does."""
        request = await _with_examples(stubs.ClassificationRequest(model_spec=_model_spec(model, signature)), examples)
        response = await self._call("PredictionService/Classify", request, deadline, spans)
        return read_classifications(model.name, response)

    async def regress(
        self, model: ModelRef, signature: str, examples: Examples, deadline: Deadline, *, spans: Spans = ()
    ) -> Regressions:
        """A value for each of ``examples``. Raises GatewayError as ``predict`` does."""
        request = await _with_examples(stubs.RegressionRequest(model_spec=_model_spec(model, signature)), examples)
        response = await self._call("PredictionService/Regress", request, deadline, spans)
        return read_regressions(model.name, response)

    async def metadata(self, model: ModelRef, deadline: Deadline) -> stubs.GetModelMetadataResponse:
        """The GetModelMetadata reply for ``model``. Raises GatewayError as ``predict`` does."""
        request = stubs.GetModelMetadataRequest(model_spec=_model_spec(model), metadata_field=["signature_def"])
        return await self._call("PredictionService/GetModelMetadata", request.SerializeToString(), deadline)

    async def status(self, model: ModelRef, deadline: Deadline) -> ModelStatus:
        """The versions of ``model`` that the server reports. Raises GatewayError as ``predict`` does."""
        request = stubs.GetModelStatusRequest(model_spec=_model_spec(model))
        response = await self._call("ModelService/GetModelStatus", request.SerializeToString(), deadline)
        return replies.model_status(model.name, response)

    async def reload(self, config: stubs.ModelServerConfig, deadline: Deadline) -> None:
        """Have the server serve what ``config`` asks for, and nothing else. Raises GatewayError as ``predict`` does.

        TensorFlow Serving answers when it does, and with its own words for what it cannot load.
        """
        request = stubs.ReloadConfigRequest(config=config)
        response = await self._call("ModelService/HandleReloadConfigRequest", request.SerializeToString(), deadline)
        if response.status.error_code:
            raise Unknown(response.status.error_message)

    async def _call(self, method: str, request: bytes, deadline: Deadline, spans: Spans = ()) -> Any:
        """The reply to a serialized ``request``, with a span of the call if it is for requests that have spans."""
        if not spans:
            return await self._answered(method, request, deadline, None)
        span = CallSpan(_PACKAGE + method, spans)
        outcome = Cancelled.code
        try:
            reply = await self._answered(method, request, deadline, span.metadata())
            outcome = OK
        except GatewayError as error:
            outcome = error.code
            raise
        finally:
            span.end(outcome)
        return reply

    async def _answered(self, method: str, request: bytes, deadline: Deadline, metadata: Metadata) -> Any:
        """The reply to a serialized ``request``. A call that finds the server away may be made once more, in time."""
        try:
            return await self._attempt(method, request, deadline, metadata)
        except aio.AioRpcError as error:
            if not (self.calls_again and is_away(error)):
                raise self._error_of_call(error, deadline) from error
        try:
            return await self._attempt(method, request, deadline, metadata)
        except aio.AioRpcError as error:
            raise self._error_of_call(error, deadline) from error

    async def _attempt(self, method: str, request: bytes, deadline: Deadline, metadata: Metadata) -> Any:
        timeout_s = deadline.remaining_s()
        call = self._calls.get(method)
        if call is None:
            raise Away()
        try:
            response = await _reply(call(request, timeout=timeout_s, metadata=metadata))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # The channel was closed, which cancels its calls.
            raise Away() from None
        self.answered_s = time.monotonic()
        return response

    def _error_of_call(self, error: aio.AioRpcError, deadline: Deadline) -> GatewayError:
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            return deadline.exceeded() if self.is_connected else Away()
        if not is_away(error):
            self.answered_s = time.monotonic()
        return error_of_call(error)


async def _reply(call: Any) -> Any:
    """The reply to ``call``, an ``aio.UnaryUnaryCall``. When the task that waits is cancelled, so is the call.

    A task that awaits the call itself must not be cancelled: grpc.aio then never frees the call's operations, its request among
    them (https://github.com/grpc/grpc/issues/43360). So this awaits another future until the call is done.
    """
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def set_done(_: object) -> None:
        if not done.done():
            done.set_result(None)

    call.add_done_callback(set_done)
    try:
        await done
    except asyncio.CancelledError:
        # ``call.cancel()`` would cancel the task in which grpc.aio waits for the call, too: that is what leaks.
        if not call.done():
            call._cython_call.cancel("the caller was cancelled")
        raise
    return await call


def _outputs(response: stubs.PredictResponse, signature: Signature) -> Tensors:
    # protobuf has them in an order that differs from worker to worker.
    outputs = {name: decode_tensor(response.outputs[name]) for name in sorted(response.outputs)}
    for spec in signature.outputs:
        array = outputs.get(spec.name)
        if array is not None and array.dtype != spec.dtype.numpy and spec.dtype.numpy is not None:
            raise Internal(f"the backend answered {spec.name} as {array.dtype}, and the signature declares {spec.dtype}")
    return outputs


async def _with_examples(request: stubs.ClassificationRequest | stubs.RegressionRequest, examples: Examples) -> bytes:
    """``request``, serialized, with ``examples`` as its input."""
    encoded = await encode_input(examples)
    return b"".join([request.SerializeToString(), delimited_field(request.INPUT_FIELD_NUMBER, encoded)])


def _model_spec(model: ModelRef, signature: str = "") -> stubs.ModelSpec:
    spec = stubs.ModelSpec(name=model.name, signature_name=signature)
    if model.version is not None:
        spec.version.value = model.version
    elif model.label is not None:
        spec.version_label = model.label
    return spec
