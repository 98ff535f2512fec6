"""The SavedModel behind Ray Serve: ``python -m benchmarks.peers.servers.ray_serve_server PORT SCRATCH_FOLDER``.

Batches of at most 64 requests that wait for nothing but the batch before them: waiting 1 or 5 ms served no client faster. One
replica: a second one did not carry more on two cores. ``max_ongoing_requests`` far above its default, 5, which no batch could
outgrow.
"""

import os
import shutil
import signal
import sys
import threading
from typing import Final

import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

from benchmarks.contender import Floats
from benchmarks.peers import instances
from benchmarks.peers.launch import HOST, SAVED_MODEL
from benchmarks.peers.model import Model

MAX_BATCH: Final = 64
MAX_WAIT_S: Final = 0.0
REPLICAS: Final = 1
MAX_ONGOING: Final = 4096
CORES: Final = 2


@serve.deployment(num_replicas=REPLICAS, max_ongoing_requests=MAX_ONGOING)
class Predictor:
    """A request is an array of rows, a batch a list of those."""

    def __init__(self, saved_model: str) -> None:
        self._model = Model(saved_model)

    async def __call__(self, request: Request) -> Response:
        """Return the answer to a POST; any GET asks only whether this replica is there."""
        if request.method == "GET":
            return Response()
        rows = instances.rows(await request.body())
        return Response(instances.answer(await self._predict(rows)), media_type="application/json")

    @serve.batch(max_batch_size=MAX_BATCH, batch_wait_timeout_s=MAX_WAIT_S)  # type: ignore[untyped-decorator]
    async def _predict(self, requests: list[Floats]) -> list[Floats]:
        """Return the predictions of each request of a batch."""
        return self._model.each(requests)


def main(port: int, scratch: str) -> None:
    """Serve until SIGTERM, then take the whole cluster down and its files away."""
    stop = threading.Event()
    ray.init(num_cpus=CORES, include_dashboard=False, _temp_dir=scratch)
    # After Ray's own handler, which does not end what it has started.
    signal.signal(signal.SIGTERM, lambda number, frame: stop.set())
    quiet = {"enable_access_log": False, "log_level": "WARNING"}
    serve.start(http_options={"host": HOST, "port": port}, logging_config=quiet)
    # The decorator has made a deployment of the class.
    application = Predictor.bind(os.environ[SAVED_MODEL])  # type: ignore[attr-defined]
    serve.run(application, logging_config=quiet)
    stop.wait()
    ray.shutdown()
    shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
