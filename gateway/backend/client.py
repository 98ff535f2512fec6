"""One gRPC channel to the model server: deadlines, the one retry, and gRPC statuses as the gateway's errors.

A channel belongs to the process that opened it: open it after the fork. Thread-safe.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import grpc

from gateway import errors, waiting
from gateway.backend import examples as example_codec
from gateway.backend import tensor_proto, wire
from gateway.backend.stubs import (
    ClassificationRequest,
    ClassificationResponse,
    GetModelMetadataRequest,
    GetModelMetadataResponse,
    GetModelStatusRequest,
    GetModelStatusResponse,
    ModelServiceStub,
    ModelSpec,
    PredictionServiceStub,
    PredictRequest,
    PredictResponse,
    RegressionRequest,
    RegressionResponse,
)
from gateway.deadline import Deadline
from gateway.inference.examples import Classifications, Examples, Regressions
from gateway.inference.signature import ModelRef, Prediction, Signature, Tensors
from gateway.telemetry.logs import logger

Response = TypeVar("Response")

log = logger("backend")

ERROR_OF_STATUS: dict[grpc.StatusCode, Callable[[str], errors.GatewayError]] = {
    grpc.StatusCode.CANCELLED: errors.Cancelled,
    grpc.StatusCode.UNKNOWN: errors.Unknown,
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidArgument,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.DeadlineExceeded,
    grpc.StatusCode.NOT_FOUND: errors.NotFound,
    grpc.StatusCode.ALREADY_EXISTS: errors.AlreadyExists,
    grpc.StatusCode.PERMISSION_DENIED: errors.PermissionDenied,
    grpc.StatusCode.UNAUTHENTICATED: errors.Unauthenticated,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.ResourceExhausted,
    grpc.StatusCode.FAILED_PRECONDITION: errors.FailedPrecondition,
    grpc.StatusCode.ABORTED: errors.Aborted,
    grpc.StatusCode.OUT_OF_RANGE: errors.OutOfRange,
    grpc.StatusCode.UNIMPLEMENTED: errors.Unimplemented,
    grpc.StatusCode.INTERNAL: errors.Internal,
    grpc.StatusCode.UNAVAILABLE: errors.Unavailable,
    grpc.StatusCode.DATA_LOSS: errors.DataLoss,
}

# TensorFlow Serving's batch scheduler is full (tensorflow core/kernels/batching_util/shared_batch_scheduler.h). The server is
# there and overloaded: calling again at once would only add to it, and its text is worth showing.
_QUEUE_FULL = "batch scheduling queue"

# Nobody here cancels a call: a server that stops does, to those that it does not wait for.
_GONE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)

_SERVICE = "/tensorflow.serving.PredictionService"

AWAY = "the model server cannot be reached"

_CHANNEL_OPTIONS: tuple[tuple[str, int | str], ...] = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # Retries are ours: one, inside the request's deadline.
    ("grpc.enable_retries", 0),
    # A server that comes back is found at once, at a new address within a second. (The "minimum" is how long one attempt to
    # connect may take, in gRPC's words.)
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 250),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.dns_min_time_between_resolutions_ms", 1000),
    # A server that hangs, or whose host is lost, is noticed too. The catalog's polls keep data flowing between these pings, so
    # that the server does not take them for abuse.
    ("grpc.keepalive_time_ms", 5000),
    ("grpc.keepalive_timeout_ms", 3000),
    # Several replicas behind one name share the calls; one HTTP/2 connection alone would stay with one of them.
    ("grpc.lb_policy_name", "round_robin"),
)


class BackendClient:
    """The calls that the gateway makes to a TensorFlow Serving ``target`` (``host:port`` or a gRPC target)."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._channel = grpc.insecure_channel(target, options=_CHANNEL_OPTIONS)
        prediction_service = PredictionServiceStub(self._channel)
        self._predict = prediction_service.Predict
        # Their requests come serialized.
        self._classify: Any = self._channel.unary_unary(f"{_SERVICE}/Classify", None, ClassificationResponse.FromString)
        self._regress: Any = self._channel.unary_unary(f"{_SERVICE}/Regress", None, RegressionResponse.FromString)
        self._get_metadata = prediction_service.GetModelMetadata
        self._get_status = ModelServiceStub(self._channel).GetModelStatus
        self.is_connected = False
        self.on_change: Callable[[], object] = lambda: None  # called when ``is_connected`` has changed
        self._channel.subscribe(self._on_connectivity, try_to_connect=True)

    def close(self) -> None:
        """Close the channel; calls in flight are cancelled."""
        self._channel.close()

    def predict(
        self,
        model: ModelRef,
        signature: Signature,
        inputs: Tensors,
        outputs: tuple[str, ...],
        deadline: Deadline,
    ) -> Prediction:
        """Run ``signature`` of ``model`` on ``inputs``; ``outputs`` names the wanted ones (none: all).

        Raises:
            GatewayError: the backend's status, as ``ERROR_OF_STATUS`` maps it.
        """
        request = PredictRequest(model_spec=_model_spec(model, signature.name), output_filter=outputs)
        for name, array in inputs.items():
            tensor_proto.encode_into(array, request.inputs[name])
        response: PredictResponse = self._call(self._predict, request, deadline)
        return Prediction(
            model=model.name,
            version=response.model_spec.version.value,
            signature=signature.name,
            outputs={name: tensor_proto.decode(proto) for name, proto in response.outputs.items()},
        )

    def classify(self, model: ModelRef, signature: str, examples: Examples, deadline: Deadline) -> Classifications:
        """Labels and scores for each of ``examples``. Raises GatewayError as ``predict`` does."""
        request = _with_examples(ClassificationRequest(model_spec=_model_spec(model, signature)), examples)
        return example_codec.classifications(model.name, self._call(self._classify, request, deadline))

    def regress(self, model: ModelRef, signature: str, examples: Examples, deadline: Deadline) -> Regressions:
        """A value for each of ``examples``. Raises GatewayError as ``predict`` does."""
        request = _with_examples(RegressionRequest(model_spec=_model_spec(model, signature)), examples)
        return example_codec.regressions(model.name, self._call(self._regress, request, deadline))

    def metadata(self, model: ModelRef, deadline: Deadline) -> GetModelMetadataResponse:
        """The GetModelMetadata reply for ``model``. Raises GatewayError as ``predict`` does."""
        request = GetModelMetadataRequest(model_spec=_model_spec(model), metadata_field=["signature_def"])
        return self._call(self._get_metadata, request, deadline)

    def status(self, model: ModelRef, deadline: Deadline) -> GetModelStatusResponse:
        """The GetModelStatus reply for ``model``. Raises GatewayError as ``predict`` does."""
        return self._call(self._get_status, GetModelStatusRequest(model_spec=_model_spec(model)), deadline)

    def _call(self, method: Callable[..., Response], request: Any, deadline: Deadline) -> Response:
        def attempt() -> Response:
            # Its turn may come late, so only then is asked how much time is left.
            timeout_s = deadline.remaining_s()
            try:
                return method(request, timeout=timeout_s)
            except ValueError:  # which is how gRPC tells that the channel is closed: this process is about to end
                raise errors.Unavailable(AWAY) from None

        try:
            return waiting.call(attempt)
        except grpc.RpcError as error:
            if not _worth_a_retry(error):
                raise self._translate(error, deadline) from error
        try:
            return waiting.call(attempt)
        except grpc.RpcError as error:
            raise self._translate(error, deadline) from error

    def _translate(self, error: Any, deadline: Deadline) -> errors.GatewayError:
        code, details = error.code(), error.details() or ""
        if code in _GONE:
            # gRPC's own words name addresses of the inside: they are for the log, not for the client.
            return errors.Unavailable(details if _QUEUE_FULL in details else AWAY)
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return deadline.exceeded() if self.is_connected else errors.Unavailable(AWAY)
        return ERROR_OF_STATUS.get(code, errors.Unknown)(details)

    def _on_connectivity(self, state: grpc.ChannelConnectivity) -> None:
        if state is grpc.ChannelConnectivity.READY and not self.is_connected:
            self.is_connected = True
            log.info("backend.connected", target=self._target)
            self.on_change()
        elif state is grpc.ChannelConnectivity.TRANSIENT_FAILURE and self.is_connected:
            self.is_connected = False
            log.warning("backend.disconnected", target=self._target)
            self.on_change()


def _worth_a_retry(error: Any) -> bool:
    return error.code() in _GONE and _QUEUE_FULL not in (error.details() or "")


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
