"""A micro-batcher of one queue and one thread: what waits is joined until the batch is full or old enough."""

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
_Item = tuple[Floats, "Future[Floats]"]


class ThreadBatcher:
    """Calls ``predict(rows)`` with the rows of up to ``max_requests`` requests; the first waits at most ``max_wait_s``."""

    def __init__(self, predict: Callable[[Floats], Floats], max_requests: int, max_wait_s: float) -> None:
        self._predict = predict
        self._max_requests = max_requests
        self._max_wait_s = max_wait_s
        self._queue: queue.Queue[_Item] = queue.Queue()
        threading.Thread(target=self._run, daemon=True).start()

    def predict(self, rows: Floats, timeout_s: float) -> Floats:
        """Return the predictions for these rows. Raises TimeoutError, and whatever the model raised."""
        future: Future[Floats] = Future()
        self._queue.put((rows, future))
        return future.result(timeout_s)

    def _run(self) -> None:
        while True:
            self._execute(self._gather())

    def _gather(self) -> list[_Item]:
        batch = [self._queue.get()]
        until_s = time.monotonic() + self._max_wait_s
        while len(batch) < self._max_requests:
            try:
                batch.append(self._queue.get(timeout=max(0.0, until_s - time.monotonic())))
            except queue.Empty:
                break
        return batch

    def _execute(self, batch: list[_Item]) -> None:
        try:
            predictions = self._predict(np.concatenate([rows for rows, _ in batch]))
        except Exception as error:  # noqa: BLE001 - it belongs to the requests of the batch, whatever it is
            for _, future in batch:
                future.set_exception(error)
            return
        start = 0
        for rows, future in batch:
            future.set_result(predictions[start : start + len(rows)])
            start += len(rows)
