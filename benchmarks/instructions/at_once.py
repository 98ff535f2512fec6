"""A model server that answers at once, in the gateway's own process: what is left to count is the gateway."""

import asyncio
from typing import Final

from benchmarks import workload
from benchmarks.instructions.cases import KEPT, expected
from benchmarks.workload import Tensors
from gateway.backend.client import BackendClient
from gateway.backend.stubs import (
    DataType,
    GetModelMetadataResponse,
    SignatureDef,
    SignatureDefMap,
)
from gateway.deadline import Deadline
from gateway.inference import signature as values
from gateway.inference.signature import ModelRef, Prediction, Signature
from gateway.inference.status import ModelStatus, VersionStatus
from gateway.telemetry.spans import Spans

_VERSION: Final = 1
_TENSORS: Final = {**workload.TENSORS, KEPT: workload.TENSORS[workload.DENSE]}
_ROW: Final = ([-1, workload.FEATURES], [-1])
_SHAPES: Final = {
    workload.DENSE: _ROW,
    KEPT: _ROW,
    workload.IMAGE: ([-1, *workload.IMAGE_SHAPE], [-1, 10]),
}


class AtOnce(BackendClient):
    """The gateway's client of the model server, whose calls are answered here: version 1 of each model of the cases."""

    def __init__(self) -> None:
        super().__init__("127.0.0.1:1")

    def start(self) -> None:
        """Be connected, without a channel."""
        self.connection.is_up = True

    async def predict(
        self,
        model: ModelRef,
        signature: Signature,
        inputs: values.Tensors,
        outputs: tuple[str, ...],
        deadline: Deadline,
        *,
        spans: Spans = (),
    ) -> Prediction:
        """Answer with the first numbers of each row (`cases.expected`), in the next turn of the loop.

        No server answers sooner: requests that come in one turn find one another, as they do before a real one.
        """
        await asyncio.sleep(0)
        names = _TENSORS[model.name]
        return Prediction(model.name, _VERSION, signature.name, {names.output: expected(inputs[names.input])})

    async def metadata(self, model: ModelRef, deadline: Deadline) -> GetModelMetadataResponse:
        """Answer with the one signature of the model."""
        signatures = SignatureDefMap()
        signature = _signature(_TENSORS[model.name], *_SHAPES[model.name])
        signatures.signature_def[values.DEFAULT_SIGNATURE].CopyFrom(signature)
        reply = GetModelMetadataResponse()
        reply.model_spec.name = model.name
        reply.model_spec.version.value = _VERSION
        reply.metadata["signature_def"].Pack(signatures)
        return reply

    async def status(self, model: ModelRef, deadline: Deadline) -> ModelStatus:
        """Answer that the version is available."""
        return ModelStatus(model.name, (VersionStatus(_VERSION, "AVAILABLE"),))


def _signature(names: Tensors, input_sizes: list[int], output_sizes: list[int]) -> SignatureDef:
    proto = SignatureDef(method_name="tensorflow/serving/predict")
    for tensor, sizes in ((proto.inputs[names.input], input_sizes), (proto.outputs[names.output], output_sizes)):
        tensor.dtype = DataType.DT_FLOAT
        for size in sizes:
            tensor.tensor_shape.dim.add(size=size)
    return proto
