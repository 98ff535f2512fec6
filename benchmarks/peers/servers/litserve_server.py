"""The SavedModel behind LitServe: ``python -m benchmarks.peers.servers.litserve_server PORT lists|arrays``.

Batches of at most 64 requests after at most 1 ms (with no wait at all its worker spins, and 5 ms cost more than they gained);
``fast_queue``, its ZeroMQ transport; two HTTP processes, one for each core, and one with the model: a second one of those took
the processor from the HTTP processes, which have most of the work.

``lists`` gives the worker what the JSON holds, the fastest way for small bodies; ``arrays`` has pydantic make the array in the
HTTP process, which costs a small body half as much again and a picture a third: nested lists are slow to hand to the worker.
"""

import os
import sys
from typing import Annotated, Any, Final, cast

import litserve
import numpy as np
from fastapi import Request, Response
from pydantic import BaseModel, BeforeValidator

from benchmarks.contender import Floats
from benchmarks.peers import instances
from benchmarks.peers.launch import HOST, SAVED_MODEL

MAX_BATCH: Final = 64
MAX_WAIT_S: Final = 0.001
HTTP_PROCESSES: Final = 2
MODEL_PROCESSES: Final = 1
LISTS: Final = "lists"
ARRAYS: Final = "arrays"


def _array(instances: Any) -> Floats:
    try:
        return np.array(instances, np.float32)
    except TypeError as error:
        raise ValueError(str(error)) from error


class Body(BaseModel):
    """A request's body whose array is made in the HTTP process."""

    instances: Annotated[Any, BeforeValidator(_array)]


class Predictor(litserve.LitAPI):  # type: ignore[misc]
    """A request is an array of rows, a batch a list of those."""

    def setup(self, device: str) -> None:
        """Load the model, in its process."""
        # Here, so that the HTTP processes do without TensorFlow.
        from benchmarks.peers.model import Model  # noqa: PLC0415

        self._model = Model(os.environ[SAVED_MODEL])

    def decode_request(self, request: Request) -> Floats:
        """Return the rows of a body: for an argument of this type LitServe gives what its JSON holds."""
        return np.array(cast("dict[str, Any]", request)["instances"], np.float32)

    def batch(self, inputs: list[Floats]) -> list[Floats]:
        """Leave the requests apart: they need not have the same number of rows."""
        return inputs

    def predict(self, x: list[Floats]) -> list[Floats]:
        """Return the predictions of each request of a batch."""
        return self._model.each(x)

    def unbatch(self, output: list[Floats]) -> list[Floats]:
        """Return what ``predict`` did: it is apart already."""
        return output

    def encode_response(self, output: Floats) -> Response:
        """Return an answer as it goes out, past FastAPI's slower way from Python values to JSON."""
        return Response(instances.answer(output), media_type="application/json")


class ArrayPredictor(Predictor):
    """The same for large arrays."""

    def decode_request(self, request: Body) -> Floats:
        """Return the rows of a body that pydantic has read."""
        rows: Floats = request.instances
        return rows


if __name__ == "__main__":
    kind = ArrayPredictor if sys.argv[2] == ARRAYS else Predictor
    predictor = kind(max_batch_size=MAX_BATCH, batch_timeout=MAX_WAIT_S)
    server = litserve.LitServer(predictor, accelerator="cpu", workers_per_device=MODEL_PROCESSES, fast_queue=True)
    server.run(
        host=HOST,
        port=int(sys.argv[1]),
        num_api_servers=HTTP_PROCESSES,
        log_level="warning",
        access_log=False,
        generate_client_file=False,
    )
