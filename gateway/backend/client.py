"""The calls of the model server: deadlines, the one retry, and gRPC statuses as the gateway's errors. For one event loop."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import grpc
from grpc import aio

from gateway.backend import examples as example_codec
from gateway.backend import tensor_proto, unary_call, wire
from gateway.backend.connection import Connection
from gateway.backend.statuses import AWAY, is_away, translated
from gateway.backend.stubs import (
    ClassificationRequest,
    ClassificationResponse,
    GetModelMetadataRequest,
    GetModelMetadataResponse,
    GetModelStatusRequest,
    GetModelStatusResponse,
    ModelSpec,
    PredictRequest,
    PredictResponse,
    RegressionRequest,
    RegressionResponse,
)
from gateway.deadline import Deadline
from gateway.errors import GatewayError, Unavailable
from gateway.inference.examples import Classifications, Examples, Regressions
from gateway.inference.signature import ModelRef, Prediction, Signature, Tensors

Response = TypeVar("Response")


@dataclass(frozen=True, slots=True, eq=False)
class _Method(Generic[Response]):
    """A method of the server's, the parser of its reply, and how its request is serialized (None: it comes serialized)."""

    path: str
    parse: Callable[[bytes], Response]
    serialize: Callable[[Any], bytes] | None


_SERVICE: Final = "/tensorflow.serving.PredictionService"
_PREDICT = _Method(f"{_SERVICE}/Predict", PredictResponse.FromString, PredictRequest.SerializeToString)
_CLASSIFY = _Method(f"{_SERVICE}/Classify", ClassificationResponse.FromString, None)
_REGRESS = _Method(f"{_SERVICE}/Regress", RegressionResponse.FromString, None)
_METADATA = _Method(
    f"{_SERVICE}/GetModelMetadata", GetModelMetadataResponse.FromString, GetModelMetadataRequest.SerializeToString
)
_STATUS = _Method(
    "/tensorflow.serving.ModelService/GetModelStatus",
    GetModelStatusResponse.FromString,
    GetModelStatusRequest.SerializeToString,
)


class BackendClient:
    """The calls that the gateway makes to a TensorFlow Serving ``target`` (``host:port`` or a gRPC target).

    A caller that is cancelled takes its call back from the server. ``answered_s``: when the server last answered any call, if
    only with an error of its own, or else when the client was started; in seconds of ``time.monotonic``.
    """

    def __init__(self, target: str) -> None:
        self.connection = Connection(target)
        self.answered_s = 0.0
        self._calls: dict[_Method[Any], aio.UnaryUnaryMultiCallable[Any, Any]] = {}

    @property
    def is_connected(self) -> bool:
        """Whether the connection to the server stands."""
        return self.connection.is_up

    def start(self) -> None:
        """Open the channel on the running event loop. Until then, and after ``close``, the server is away to every call."""
        self.answered_s = time.monotonic()
        channel = self.connection.open()
        for method in (_PREDICT, _CLASSIFY, _REGRESS, _METADATA, _STATUS):
            self._calls[method] = channel.unary_unary(method.path, method.serialize, method.parse)

    async def close(self) -> None:
        """Close the channel; to calls in flight the server is away."""
        self._calls.clear()
        await self.connection.close()

    async def predict(
        self,
        model: ModelRef,
        signature: Signature,
        inputs: Tensors,
        outputs: tuple[str, ...],
        deadline: Deadline,
    ) -> Prediction:
        """Run ``signature`` of ``model`` on ``inputs``; ``outputs`` names the wanted ones (none: all).

        Raises:
            GatewayError: the server's status, as ``statuses`` maps it; Unavailable when the server is away.
        """
        request = PredictRequest(model_spec=_model_spec(model, signature.name), output_filter=outputs)
        for name, array in inputs.items():
            tensor_proto.encode_into(array, request.inputs[name])
        response = await self._call(_PREDICT, request, deadline)
        return Prediction(
            model=model.name,
            version=response.model_spec.version.value,
            signature=signature.name,
            # protobuf has them in an order that differs from worker to worker.
            outputs={name: tensor_proto.decode(response.outputs[name]) for name in sorted(response.outputs)},
        )

    async def classify(self, model: ModelRef, signature: str, examples: Examples, deadline: Deadline) -> Classifications:
        """Labels and scores for each of ``examples``. Raises GatewayError as ``predict`` does."""
        request = _with_examples(ClassificationRequest(model_spec=_model_spec(model, signature)), examples)
        return example_codec.classifications(model.name, await self._call(_CLASSIFY, request, deadline))

    async def regress(self, model: ModelRef, signature: str, examples: Examples, deadline: Deadline) -> Regressions:
        """A value for each of ``examples``. Raises GatewayError as ``predict`` does."""
        request = _with_examples(RegressionRequest(model_spec=_model_spec(model, signature)), examples)
        return example_codec.regressions(model.name, await self._call(_REGRESS, request, deadline))

    async def metadata(self, model: ModelRef, deadline: Deadline) -> GetModelMetadataResponse:
        """The GetModelMetadata reply for ``model``. Raises GatewayError as ``predict`` does."""
        request = GetModelMetadataRequest(model_spec=_model_spec(model), metadata_field=["signature_def"])
        return await self._call(_METADATA, request, deadline)

    async def status(self, model: ModelRef, deadline: Deadline) -> GetModelStatusResponse:
        """The GetModelStatus reply for ``model``. Raises GatewayError as ``predict`` does."""
        return await self._call(_STATUS, GetModelStatusRequest(model_spec=_model_spec(model)), deadline)

    async def _call(self, method: _Method[Response], request: Any, deadline: Deadline) -> Response:
        """The reply to ``request``. A call that finds the server away is made once more, in the time that is left."""
        try:
            return await self._attempt(method, request, deadline)
        except aio.AioRpcError as error:
            if not is_away(error):
                raise self._translated(error, deadline) from error
        try:
            return await self._attempt(method, request, deadline)
        except aio.AioRpcError as error:
            raise self._translated(error, deadline) from error

    async def _attempt(self, method: _Method[Response], request: Any, deadline: Deadline) -> Response:
        timeout_s = deadline.remaining_s()
        call = self._calls.get(method)
        if call is None:
            raise Unavailable(AWAY)
        try:
            response: Response = await unary_call.reply(call(request, timeout=timeout_s))
        except asyncio.CancelledError:
            if _is_being_cancelled():
                raise
            # The channel was closed, which cancels its calls.
            raise Unavailable(AWAY) from None
        self.answered_s = time.monotonic()
        return response

    def _translated(self, error: aio.AioRpcError, deadline: Deadline) -> GatewayError:
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            return deadline.exceeded() if self.is_connected else Unavailable(AWAY)
        if not is_away(error):
            self.answered_s = time.monotonic()
        return translated(error)


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _with_examples(request: ClassificationRequest | RegressionRequest, examples: Examples) -> bytes:
    """``request``, serialized, with ``examples`` as its input."""
    return b"".join([request.SerializeToString(), wire.delimited(request.INPUT_FIELD_NUMBER, example_codec.encode(examples))])


def _model_spec(model: ModelRef, signature: str = "") -> ModelSpec:
    spec = ModelSpec(name=model.name, signature_name=signature)
    if model.version is not None:
        spec.version.value = model.version
    elif model.label is not None:
        spec.version_label = model.label
    return spec
