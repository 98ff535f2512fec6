"""The SavedModel behind MLServer: ``python -m benchmarks.peers.servers.mlserver_server NAME HTTP_PORT GRPC_PORT METRICS_PORT``.

What ``mlserver start`` does, its settings given here instead of in files. Batches of at most 64 requests after at most 1 ms.
No parallel workers: with one, the HTTP process hands each batch to another process, which costs more than the model does.
"""

import asyncio
import os
import sys
from typing import Final

from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput
from mlserver.utils import install_uvloop_event_loop

from benchmarks.peers.launch import HOST, SAVED_MODEL
from benchmarks.peers.model import Model

MAX_BATCH: Final = 64
MAX_WAIT_S: Final = 0.001
PARALLEL_WORKERS: Final = 0


class Predictor(MLModel):  # type: ignore[misc]
    """One tensor in, one out; MLServer joins the tensors of several requests, and parts the result."""

    async def load(self) -> bool:
        """Load the model, in whichever process is to run it."""
        self._model = Model(os.environ[SAVED_MODEL])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Return the predictions of a batch."""
        predictions = self._model(NumpyCodec.decode_input(payload.inputs[0]))
        # Not by the codec, which gives a vector a second dimension.
        shape, data = list(predictions.shape), predictions.ravel().tolist()
        output = ResponseOutput(name="predictions", datatype="FP32", shape=shape, data=data)
        return InferenceResponse(model_name=self.name, outputs=[output])


async def serve(name: str, http_port: int, grpc_port: int, metrics_port: int) -> None:
    """Serve until SIGTERM."""
    settings = Settings(
        debug=False,
        host=HOST,
        http_port=http_port,
        grpc_port=grpc_port,
        metrics_port=metrics_port,
        parallel_workers=PARALLEL_WORKERS,
    )
    # Named by its path: the worker processes import it.
    implementation = "benchmarks.peers.servers.mlserver_server.Predictor"
    batching = {"max_batch_size": MAX_BATCH, "max_batch_time": MAX_WAIT_S}
    await MLServer(settings).start([ModelSettings(name=name, implementation=implementation, **batching)])


if __name__ == "__main__":
    model_name, *ports = sys.argv[1:]
    install_uvloop_event_loop()
    asyncio.run(serve(model_name, *map(int, ports)))
