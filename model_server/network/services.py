"""The gRPC services: from a request to a reply or a status, and the metrics of it. Protocol, no policy."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NoReturn

import structlog
from grpc import ServicerContext, StatusCode
from tensorflow_serving.apis import (
    model_management_pb2,
    model_pb2,
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
)

from model_server import config
from model_server.core import Core
from model_server.network.metrics import Metrics
from model_server.requests.examples import classify, regress
from model_server.requests.metadata import check_metadata_request, metadata, model_status
from model_server.requests.multi_inference import multi_inference
from model_server.requests.predict import PredictSettings, predict
from model_server.session.graph_session import Feeds, Runner
from model_server.status import ServingError, truncated
from model_server.tensors import Array

log = structlog.get_logger()

Work = Callable[..., Any]  # called with a servable and timeout_ms


@dataclass(frozen=True)
class _TimedRunner:
    """Runs a graph and records how long that took."""

    runner: Runner
    metrics: Metrics
    labels: tuple[str, str, str]

    def run(self, feeds: Feeds, fetches: Any, timeout_ms: int | None) -> list[Array]:
        started = time.perf_counter()
        arrays = self.runner.run(feeds, fetches, timeout_ms)
        self.metrics.runtime_latency.observe(_microseconds_since(started), *self.labels)
        return arrays


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]
    """tensorflow.serving.PredictionService."""

    def __init__(self, core: Core, metrics: Metrics, settings: PredictSettings, *, logs_calls: bool = False) -> None:
        self._core = core
        self._metrics = metrics
        self._settings = settings
        self._logs_calls = logs_calls

    def Predict(self, request: Any, context: ServicerContext) -> Any:  # noqa: N802
        """Tensors in, tensors out."""
        return self._infer("Predict", _spec(request), context, partial(predict, request=request, settings=self._settings))

    def Classify(self, request: Any, context: ServicerContext) -> Any:  # noqa: N802
        """Examples in, labels and scores out."""
        return self._infer("Classify", _spec(request), context, self._examples(classify, request))

    def Regress(self, request: Any, context: ServicerContext) -> Any:  # noqa: N802
        """Examples in, values out."""
        return self._infer("Regress", _spec(request), context, self._examples(regress, request))

    def MultiInference(self, request: Any, context: ServicerContext) -> Any:  # noqa: N802
        """Examples in, the results of several signatures out; the first task chooses the servable."""
        first = request.tasks[0].model_spec if request.tasks else model_pb2.ModelSpec()
        return self._infer("MultiInference", first, context, self._examples(multi_inference, request))

    def GetModelMetadata(self, request: Any, context: ServicerContext) -> Any:  # noqa: N802
        """Every signature of a version."""
        with Answering(context):
            check_metadata_request(request)
            with self._core.use(request.model_spec) as servable:
                return metadata(servable, request.model_spec.name)

    def _examples(self, answer: Work, request: Any) -> Work:
        return partial(answer, request=request, check_method=self._settings.check_method_name)

    def _infer(self, api: str, spec: Any, context: ServicerContext, work: Work) -> Any:
        """Run ``work`` with the servable that a ModelSpec (or None, which is refused) names, and count it."""
        started = time.perf_counter()
        name = self._label(spec)

        def record(code: StatusCode) -> None:
            self._metrics.request_count.increment(name, code.name)
            if self._logs_calls:
                ms = round(_microseconds_since(started) / 1000, 3)
                log.debug("call.ended", api=api, model=name, status=code.name, ms=ms, traceparent=_traceparent(context))

        answering = Answering(context, record)
        with answering, self._core.use(spec) as servable:
            timed = replace(servable, runner=_TimedRunner(servable.runner, self._metrics, (name, api, "TF1")))
            response = work(timed, timeout_ms=_timeout_ms(context))
            self._metrics.request_latency.observe(_microseconds_since(started), name, api, "GRPC")
            return response

    def _label(self, spec: Any) -> str:
        """A model's name for metrics; unknown names share one label, or clients could make any number of them."""
        return str(spec.name) if spec is not None and spec.name in self._core.models else ""


class ModelService(model_service_pb2_grpc.ModelServiceServicer):  # type: ignore[misc]
    """tensorflow.serving.ModelService."""

    def __init__(self, core: Core, metrics: Metrics) -> None:
        self._core = core
        self._metrics = metrics

    def GetModelStatus(self, request: Any, context: ServicerContext) -> Any:  # noqa: N802
        """What became of a model's versions."""
        with Answering(context):
            return model_status(self._core.history, request)

    def HandleReloadConfigRequest(self, request: Any, context: ServicerContext) -> Any:  # noqa: N802
        """Replace the configuration; answers OK once every version that it asks for serves, else what failed."""
        with Answering(context):
            before = self._metrics.counts()
            config.check_reloadable(request.config)
            self._core.reload(config.from_proto(request.config), give_up=lambda: not context.is_active())
            after = self._metrics.counts()
            response = model_management_pb2.ReloadConfigResponse()
            response.status.SetInParent()
            for name in request.metric_names:
                response.metric.add(name=name, int64_value_increase=after.get(name, 0) - before.get(name, 0))
            return response


class Answering:
    """Ends an RPC with the status of whatever was raised inside, and says which one it was to ``record``."""

    def __init__(self, context: ServicerContext, record: Callable[[StatusCode], None] = lambda code: None) -> None:
        self._context = context
        self._record = record

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if error is None:
            self._record(StatusCode.OK)
        elif isinstance(error, ServingError):
            self._end(error)
        elif isinstance(error, MemoryError):
            self._end(ServingError(StatusCode.RESOURCE_EXHAUSTED, f"Out of memory: {error}"))
        elif isinstance(error, Exception):
            log.error("request.crashed", exc_info=error)
            self._end(ServingError(StatusCode.INTERNAL, "Internal error of the model server; see its log"))

    def _end(self, error: ServingError) -> NoReturn:
        self._record(error.code)
        self._context.abort(error.code, truncated(error.message))


def _spec(request: Any) -> Any:
    return request.model_spec if request.HasField("model_spec") else None


def _traceparent(context: ServicerContext) -> str | bytes | None:
    """What the client says of its trace (https://www.w3.org/TR/trace-context/), as it came; None if nothing."""
    return next((value for key, value in context.invocation_metadata() if key == "traceparent"), None)


def _timeout_ms(context: ServicerContext) -> int | None:
    """The time left to the client, at least a millisecond; None without a deadline."""
    left_s = context.time_remaining()
    return None if left_s is None or left_s > 10**6 else max(1, int(left_s * 1000))


def _microseconds_since(started: float) -> float:
    return (time.perf_counter() - started) * 1e6
