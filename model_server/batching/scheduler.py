"""Queues of requests that wait to be run together, and the threads that run them (upstream's shared_batch_scheduler.h).

A batch is released when it is full, or when its oldest request is ``batch_timeout_s`` old, to the first idle thread.
Queues take turns.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from grpc import StatusCode

from model_server.batching.config import BatchLimits
from model_server.session.graph_session import Feeds
from model_server.status import ServingError, invalid_argument
from model_server.tensors import Array


@dataclass
class Task:
    """One request in a queue: its rows, its deadline (time.monotonic), and in the end its arrays or its error."""

    feeds: Feeds
    rows: int
    deadline: float | None = None
    arrays: list[Array] | None = None
    error: ServingError | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def result(self) -> list[Array]:
        """Wait until the task was run; returns its arrays or raises its error."""
        self.done.wait()
        if self.error:
            raise self.error
        return self.arrays or []


@dataclass
class Batch:
    """Tasks that will run together, and when the first of them came (time.monotonic)."""

    opened: float
    tasks: list[Task] = field(default_factory=list)
    rows: int = 0


class Queue:
    """The waiting batches of one kind of request; ``run`` answers every task of a batch. Guarded by its scheduler."""

    def __init__(self, limits: BatchLimits, run: Callable[[list[Task]], None]) -> None:
        self.run = run
        self._limits = limits
        self._batches: deque[Batch] = deque()

    def add(self, task: Task) -> None:
        """Put a task into the last batch, or into a new one; raises ServingError if neither is possible."""
        largest = self._limits.max_execution_batch_size
        if task.rows > largest:
            raise invalid_argument(f"Task size {task.rows} is larger than maximum input batch size {largest}")
        if not self._batches or self._batches[-1].rows + task.rows > largest:
            self._open_batch()
        self._batches[-1].tasks.append(task)
        self._batches[-1].rows += task.rows

    def next_release(self) -> float | None:
        """When the first batch may run (time.monotonic); None if there is none."""
        if not self._batches:
            return None
        first = self._batches[0]
        full = len(self._batches) > 1 or first.rows >= self._limits.max_execution_batch_size
        return 0.0 if full else first.opened + self._limits.batch_timeout_s

    def take(self) -> Batch:
        """Remove the first batch."""
        return self._batches.popleft()

    def waiting(self) -> int:
        """How many tasks are in the queue."""
        return sum(len(batch.tasks) for batch in self._batches)

    def _open_batch(self) -> None:
        waiting, most = len(self._batches), self._limits.max_enqueued_batches
        if waiting >= most:
            raise ServingError(
                StatusCode.UNAVAILABLE,
                "The batch scheduling queue to which this task was submitted is full;"
                f" currently {waiting} batches enqueued and max_enqueued_batches is {most}",
            )
        self._batches.append(Batch(time.monotonic()))


class Scheduler:
    """The threads that all queues share. Thread-safe."""

    def __init__(self, num_threads: int) -> None:
        self._queues: deque[Queue] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        for number in range(num_threads):
            threading.Thread(target=self._work, name=f"batch-{number}", daemon=True).start()

    def register(self, queue: Queue) -> None:
        """Serve a queue from now on."""
        with self._changed:
            self._queues.append(queue)

    def unregister(self, queue: Queue) -> None:
        """Forget a queue; nothing may be waiting in it."""
        with self._changed:
            self._queues.remove(queue)

    def submit(self, queue: Queue, task: Task) -> None:
        """Enqueue a task; raises ServingError at once if the queue is full or the task too large."""
        with self._changed:
            queue.add(task)
            self._changed.notify()

    def waiting(self) -> int:
        """How many tasks wait to be run."""
        with self._changed:
            return sum(queue.waiting() for queue in self._queues)

    def stop(self) -> None:
        """End the threads once they are idle."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def _work(self) -> None:
        while True:
            taken = self._wait_for_batch()
            if taken is None:
                return
            queue, batch = taken
            queue.run(batch.tasks)

    def _wait_for_batch(self) -> tuple[Queue, Batch] | None:
        with self._changed:
            while not self._stopping:
                queue, wait_s = self._first_ready()
                if queue:
                    self._changed.notify()  # another idle thread looks after what else is or will be ready
                    return queue, queue.take()
                self._changed.wait(wait_s)
            return None

    def _first_ready(self) -> tuple[Queue | None, float | None]:
        """The next queue in turn with a batch to run, or how long until there may be one."""
        now = time.monotonic()
        earliest: float | None = None
        for _ in range(len(self._queues)):
            queue = self._queues[0]
            self._queues.rotate(-1)
            release = queue.next_release()
            if release is None:
                continue
            if release <= now:
                return queue, None
            earliest = release if earliest is None else min(earliest, release)
        return None, None if earliest is None else earliest - now
