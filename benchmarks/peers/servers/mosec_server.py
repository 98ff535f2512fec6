"""The SavedModel behind mosec.

Batches of at most 32 after at most 1 ms, the shortest wait that mosec has: a batch that is full waits for nothing, and with 32
even 32 clients fill one, where with 64 all of them wait out the millisecond, and 64 and 256 clients are served no faster. One
worker: a second one did not carry more on two cores.
"""

import os
from typing import Final

from mosec import Server, Worker
from mosec.errors import DecodingError

from benchmarks.contender import Floats
from benchmarks.peers import instances
from benchmarks.peers.launch import SAVED_MODEL
from benchmarks.peers.model import Model

MAX_BATCH: Final = 32
MAX_WAIT_MS: Final = 1
WORKERS: Final = 1


class Predictor(Worker):  # type: ignore[misc]
    """A request is an array of rows, a batch a list of those."""

    def __init__(self) -> None:
        super().__init__()
        self._model = Model(os.environ[SAVED_MODEL])

    def deserialize(self, data: bytes) -> Floats:
        """Return the rows in a body. Raises DecodingError, which mosec answers with 400."""
        try:
            return instances.rows(data)
        except (ValueError, KeyError, TypeError) as error:
            raise DecodingError(str(error)) from error

    def forward(self, data: list[Floats]) -> list[Floats]:
        """Return the predictions of each request of a batch."""
        return self._model.each(data)

    def serialize(self, data: Floats) -> bytes:
        """Return the body of an answer."""
        return instances.answer(data)


if __name__ == "__main__":
    server = Server()
    server.append_worker(Predictor, num=WORKERS, max_batch_size=MAX_BATCH, max_wait_time=MAX_WAIT_MS)
    server.run()
