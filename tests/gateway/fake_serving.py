"""A TensorFlow Serving of the tests' own making: real gRPC on a real port; a test decides on models and failures."""

import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from gateway.backend.stubs import (
    ClassificationResponse,
    DataType,
    GetModelMetadataResponse,
    GetModelStatusResponse,
    Input,
    PredictResponse,
    RegressionResponse,
    ReloadConfigResponse,
    SignatureDef,
    SignatureDefMap,
)
from gateway.backend.tensor_proto import decode_tensor, encode_tensor
from gateway.inference.signature import Tensors

# isort: split
# After the stubs: they import these modules without TensorFlow's runtime.
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

AVAILABLE, END = 30, 50


def signature(inputs: dict[str, tuple[int, list[int]]], outputs: dict[str, tuple[int, list[int]]]) -> SignatureDef:
    """A SignatureDef; each tensor is (enum number of its dtype, sizes with -1 for free)."""
    proto = SignatureDef(method_name="tensorflow/serving/predict")
    for side, tensors in ((proto.inputs, inputs), (proto.outputs, outputs)):
        for name, (dtype, sizes) in tensors.items():
            side[name].dtype = dtype
            side[name].name = f"{name}:0"
            for size in sizes:
                side[name].tensor_shape.dim.add(size=size)
    return proto


FLOATS = signature({"x": (DataType.DT_FLOAT, [-1, 2])}, {"y": (DataType.DT_FLOAT, [-1, 2])})


def double(inputs: Tensors) -> Tensors:
    return {"y": inputs["x"] * 2}


def label_all(request: Input) -> list[list[tuple[str, float]]]:
    """For each example the number of its features, as a label's score."""
    return [[("features", float(len(example.features.feature)))] for example in request.example_list.examples]


def count_all(request: Input) -> list[float]:
    return [float(len(example.features.feature)) for example in request.example_list.examples]


@dataclass
class Version:
    run: Callable[[Tensors], Tensors] = double
    signatures: dict[str, SignatureDef] = field(default_factory=lambda: {"serving_default": FLOATS})
    state: int = AVAILABLE
    error_code: int = 0
    error_message: str = ""
    classify: Callable[[Input], list[list[tuple[str, float]]]] = label_all
    regress: Callable[[Input], list[float]] = count_all


class FakeServing(
    prediction_service_pb2_grpc.PredictionServiceServicer,
    model_service_pb2_grpc.ModelServiceServicer,
):
    def __init__(self) -> None:
        self.models: dict[str, dict[int, Version]] = {"m": {1: Version()}}
        self.labels: dict[tuple[str, str], int] = {}
        self.failures: list[tuple[grpc.StatusCode, str]] = []  # of the next Predict, Classify or Regress calls
        self.status_failures: dict[str, tuple[grpc.StatusCode, str]] = {}  # by model, for as long as they are in here
        self.status_release: dict[str, threading.Event] = {}  # by model: a GetModelStatus call waits for it
        self.reloads: list[Any] = []  # the configurations of the HandleReloadConfigRequest calls
        self.on_reload: Callable[[Any], tuple[grpc.StatusCode, str] | None] = lambda config: None  # may refuse
        self.statuses: list[str] = []  # the models of the GetModelStatus calls
        self.calls: list[str] = []
        self.ended: list[str] = []  # of those calls: answered, failed or taken back by the client
        self.deadlines_s: list[float] = []
        self.release = threading.Event()  # what a Predict call waits for
        self.release.set()
        self.metadata_release = threading.Event()
        self.metadata_release.set()
        self.port = 0  # for a test's own use
        self.stop: Callable[[], object] = lambda: None  # once it is served: stop, before ``serving`` does

    def Predict(self, request, context):  # noqa: N802 - gRPC's name
        self._begin("Predict", context)
        self.release.wait(10)
        number, version = self._lookup(request.model_spec, context)
        response = PredictResponse()
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = number
        for name, array in version.run({key: decode_tensor(proto) for key, proto in request.inputs.items()}).items():
            response.outputs[name].CopyFrom(encode_tensor(array))
        return response

    def Classify(self, request, context):  # noqa: N802
        self._begin("Classify", context)
        number, version = self._lookup(request.model_spec, context)
        response = ClassificationResponse()
        response.model_spec.version.value = number
        for row in version.classify(request.input):
            classes = response.result.classifications.add().classes
            for label, score in row:
                classes.add(label=label, score=score)
        return response

    def Regress(self, request, context):  # noqa: N802
        self._begin("Regress", context)
        number, version = self._lookup(request.model_spec, context)
        response = RegressionResponse()
        response.model_spec.version.value = number
        for value in version.regress(request.input):
            response.result.regressions.add(value=value)
        return response

    def GetModelMetadata(self, request, context):  # noqa: N802
        self._begin("GetModelMetadata", context)
        self.metadata_release.wait(10)
        number, version = self._lookup(request.model_spec, context)
        response = GetModelMetadataResponse()
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = number
        response.metadata["signature_def"].Pack(SignatureDefMap(signature_def=version.signatures))
        return response

    def GetModelStatus(self, request, context):  # noqa: N802
        self._begin("GetModelStatus", context)
        name = request.model_spec.name
        self.statuses.append(name)
        if name in self.status_release:
            self.status_release[name].wait(10)
        if name in self.status_failures:
            context.abort(*self.status_failures[name])
        versions = self.models.get(name, {})
        wanted = [request.model_spec.version.value] if request.model_spec.HasField("version") else sorted(versions)
        entries = [number for number in wanted if number in versions]
        if not entries:
            which = f"version {wanted[0]}" if request.model_spec.HasField("version") else "any versions"
            context.abort(grpc.StatusCode.NOT_FOUND, f"Could not find {which} of model {name}")
        response = GetModelStatusResponse()
        for number in entries:
            entry = response.model_version_status.add(version=number, state=versions[number].state)
            entry.status.error_code = versions[number].error_code
            entry.status.error_message = versions[number].error_message
        return response

    def HandleReloadConfigRequest(self, request, context):  # noqa: N802
        self._begin("HandleReloadConfigRequest", context)
        self.reloads.append(request.config)
        refusal = self.on_reload(request.config)
        if refusal is not None:
            context.abort(*refusal)
        return ReloadConfigResponse()

    def _begin(self, call, context):
        context.add_callback(lambda: self.ended.append(call))
        self.calls.append(call)
        self.deadlines_s.append(context.time_remaining())
        if call in ("Predict", "Classify", "Regress") and self.failures:
            context.abort(*self.failures.pop(0))

    def _lookup(self, spec, context):
        ready = {number: version for number, version in self.models.get(spec.name, {}).items() if version.state == AVAILABLE}
        if spec.WhichOneof("version_choice") == "version_label":
            if (spec.name, spec.version_label) not in self.labels:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"Unrecognized servable version label: {spec.version_label}")
            number = self.labels[spec.name, spec.version_label]
        else:
            number = spec.version.value if spec.HasField("version") else max(ready, default=-1)
        if number not in ready:
            wanted = f"Specific({spec.name}, {number})" if spec.HasField("version") else f"Latest({spec.name})"
            context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {wanted}")
        return number, ready[number]


@contextmanager
def serving(fake: FakeServing, port: int = 0, credentials: grpc.ServerCredentials | None = None) -> Iterator[int]:
    """Serve ``fake`` on a port of the loopback interface (0: a free one)."""
    server = grpc.server(
        futures.ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)]
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(fake, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(fake, server)
    address = f"127.0.0.1:{port}"
    bound = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    server.start()
    fake.stop = lambda: server.stop(None).wait()
    try:
        yield bound
    finally:
        for held in (fake.release, fake.metadata_release, *fake.status_release.values()):
            held.set()
        server.stop(None).wait()
