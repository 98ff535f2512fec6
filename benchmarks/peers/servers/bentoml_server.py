"""The SavedModel behind BentoML: ``bentoml serve benchmarks.peers.servers.bentoml_server:Predictor``.

Two processes, each with the model, one for each core as BentoML advises: HTTP, batching and model are in one process, which
keeps a core busy. Batches of at most 64 rows; BentoML itself learns how long a batch is worth waiting for. It refuses a request
that it expects to take longer than ``max_latency_ms``: its default, a minute, refuses none here.
"""

import os
from typing import Annotated, Final

import bentoml
import numpy as np
from bentoml.validators import DType

from benchmarks.peers.launch import SAVED_MODEL
from benchmarks.peers.model import Model

MAX_BATCH: Final = 64
MAX_LATENCY_MS: Final = 60_000
PROCESSES: Final = 2


@bentoml.service(workers=PROCESSES, logging={"access": {"enabled": False}})
class Predictor:
    """One array in, one out; BentoML joins the arrays of several requests, and parts the result."""

    def __init__(self) -> None:
        self._model = Model(os.environ[SAVED_MODEL])

    @bentoml.api(batchable=True, max_batch_size=MAX_BATCH, max_latency_ms=MAX_LATENCY_MS)  # type: ignore[untyped-decorator]
    def predict(self, rows: Annotated[np.ndarray, DType("float32")]) -> np.ndarray:
        """Return the predictions of a batch."""
        return self._model(rows)
