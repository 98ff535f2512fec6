"""Server-side batching: a runner that joins concurrent requests into one run (upstream's batching_session.cc).

There is a queue for each version and each combination of fed and fetched tensors, so different signatures and output
filters never mix. Unlike upstream's, a queue also never mixes dtypes.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from grpc import StatusCode

from model_server.batching.config import BatchingPlan, BatchLimits
from model_server.batching.scheduler import Queue, Scheduler, Task
from model_server.session.graph_session import Feeds, GraphSession, Runner
from model_server.status import ServingError, failed_precondition, invalid_argument
from model_server.tensors import Array

_Key = tuple[tuple[tuple[str, str], ...], tuple[str, ...]]
_MAX_PADDED_RANK = 6


@dataclass(frozen=True)
class Batching:
    """Puts batching runners around sessions, as the plan says."""

    plan: BatchingPlan
    scheduler: Scheduler

    def wrap(self, session: GraphSession, directory: str) -> tuple[Runner, Callable[[], None]]:
        """The runner for the version in ``directory``, and what frees it; raises ServingError for bad parameters."""
        limits = self.plan.limits_for(directory)
        if limits is None:
            return session, session.close
        runner = BatchingRunner(session, limits, self.scheduler)

        def free() -> None:
            runner.close()
            session.close()

        return runner, free


class BatchingRunner:
    """See Runner; ``run`` blocks while the request waits for its batch."""

    def __init__(self, runner: Runner, limits: BatchLimits, scheduler: Scheduler) -> None:
        self._runner = runner
        self._limits = limits
        self._scheduler = scheduler
        self._queues: dict[_Key, Queue] = {}
        self._lock = threading.Lock()

    def run(self, feeds: Feeds, fetches: Sequence[str], timeout_ms: int | None) -> list[Array]:
        """Run as part of a batch; raises UNAVAILABLE at once if the queue is full."""
        rows = _row_count(feeds)
        deadline = None if timeout_ms is None else time.monotonic() + timeout_ms / 1000
        queue = self._queue(feeds, tuple(fetches))
        tasks = [Task(part, size, deadline) for part, size in self._parts(feeds, rows)]
        for task in tasks:
            self._scheduler.submit(queue, task)
        results = [task.result() for task in tasks]
        return results[0] if len(results) == 1 else [np.concatenate(parts) for parts in zip(*results, strict=True)]

    def close(self) -> None:
        """Forget the queues; no request may be inside."""
        for queue in self._queues.values():
            self._scheduler.unregister(queue)
        self._queues = {}

    def _queue(self, feeds: Feeds, fetches: tuple[str, ...]) -> Queue:
        key = tuple(sorted((name, array.dtype.str) for name, array in feeds.items())), fetches
        with self._lock:
            queue = self._queues.get(key)
            if queue is None:
                queue = self._queues[key] = Queue(self._limits, lambda tasks: self._run_batch(tasks, fetches))
                self._scheduler.register(queue)
        return queue

    def _parts(self, feeds: Feeds, rows: int) -> list[tuple[Feeds, int]]:
        """The request, or with large batch splitting its slices."""
        limits = self._limits
        if rows > limits.max_batch_size:
            raise invalid_argument(f"Task size {rows} is larger than maximum input batch size {limits.max_batch_size}")
        if rows <= limits.max_execution_batch_size:
            return [(feeds, rows)]
        step = limits.max_execution_batch_size
        starts = range(0, rows, step)
        return [({name: array[at : at + step] for name, array in feeds.items()}, min(step, rows - at)) for at in starts]

    def _run_batch(self, tasks: list[Task], fetches: tuple[str, ...]) -> None:
        """Run the tasks together and answer each; an error of the run is given to all of them."""
        try:
            arrays = self._run_merged(tasks, fetches)
            at = 0
            for task in tasks:
                task.arrays = [array[at : at + task.rows] for array in arrays]
                at += task.rows
        except ServingError as error:
            _fail(tasks, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may be left waiting
            _fail(tasks, ServingError(StatusCode.INTERNAL, f"{type(error).__name__}: {error}"))
        finally:
            for task in tasks:
                task.done.set()

    def _run_merged(self, tasks: list[Task], fetches: tuple[str, ...]) -> list[Array]:
        timeout_ms = _latest_timeout_ms(tasks)
        rows = sum(task.rows for task in tasks)
        size = self._limits.rounded_up(rows)
        feeds = {name: self._merged(name, tasks, size - rows) for name in tasks[0].feeds}
        arrays = self._runner.run(feeds, fetches, timeout_ms)
        for array in arrays:
            _check_output(array, size)
        return arrays

    def _merged(self, name: str, tasks: list[Task], missing_rows: int) -> Array:
        arrays = [task.feeds[name] for task in tasks]
        if any(array.shape[1:] != arrays[0].shape[1:] for array in arrays):
            arrays = self._padded(name, arrays)
        if missing_rows:
            arrays.append(np.repeat(arrays[-1][:1], missing_rows, axis=0))
        return np.concatenate(arrays) if len(arrays) > 1 else arrays[0]

    def _padded(self, name: str, arrays: list[Array]) -> list[Array]:
        if not self._limits.pad_variable_length_inputs:
            raise failed_precondition(
                f"Tensors with name '{name}' from different tasks have different shapes and padding is turned off."
                " Set pad_variable_length_inputs to true, or ensure that all tensors with the same name have equal"
                " dimensions starting with the first dim."
            )
        if len({array.ndim for array in arrays}) > 1 or arrays[0].ndim > _MAX_PADDED_RANK:
            raise invalid_argument(
                f"Tensors with name '{name}' cannot be padded: their ranks must be equal, from 1 to {_MAX_PADDED_RANK}"
            )
        largest = tuple(max(sizes) for sizes in zip(*(array.shape[1:] for array in arrays), strict=True))
        return [_pad(array, largest) for array in arrays]


def _row_count(feeds: Feeds) -> int:
    arrays = list(feeds.values())
    if not arrays or any(array.ndim == 0 for array in arrays):
        raise invalid_argument("Batching Run() input tensors must have at least one dimension")
    if len({array.shape[0] for array in arrays}) > 1:
        raise invalid_argument("Batching Run() input tensors must have equal 0th-dimension size")
    return int(arrays[0].shape[0])


def _latest_timeout_ms(tasks: list[Task]) -> int | None:
    """The time that the most patient task has left; None if one of them waits for ever."""
    deadlines = [task.deadline for task in tasks if task.deadline is not None]
    if len(deadlines) < len(tasks):
        return None
    left_ms = int((max(deadlines) - time.monotonic()) * 1000)
    if left_ms <= 0:
        raise ServingError(StatusCode.RESOURCE_EXHAUSTED, "Run() timeout exceeded while waiting in batching queue")
    return left_ms


def _pad(array: Array, largest: tuple[int, ...]) -> Array:
    """Extend dimensions 1 and up at their end, with the tensor's own first element."""
    if array.shape[1:] == largest:
        return array
    filler = array.flat[0] if array.size else np.zeros(1, array.dtype)[0]
    padded: Array = np.full((array.shape[0], *largest), filler, array.dtype)
    padded[tuple(slice(0, size) for size in array.shape)] = array
    return padded


def _check_output(array: Array, rows: int) -> None:
    if array.ndim == 0:
        raise failed_precondition("Batched output tensor has 0 dimensions")
    if array.shape[0] != rows:
        raise failed_precondition(
            "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the input tensors"
        )


def _fail(tasks: list[Task], error: ServingError) -> None:
    for task in tasks:
        task.error = error
