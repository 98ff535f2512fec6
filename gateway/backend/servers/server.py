"""One model server: its connection, what it has in flight, what it last said of its models, and its health."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from gateway.backend.client import BackendClient
from gateway.backend.servers import choice, ejection
from gateway.backend.servers.ejection import WELL, Health
from gateway.backend.statuses import Away
from gateway.deadline import Deadline
from gateway.errors import DeadlineExceeded, GatewayError, NotFound
from gateway.inference.signature import ModelRef
from gateway.inference.status import ModelStatus

ANSWER_S: Final = 2.0
"""How long a question for a status may take."""

SILENT_S: Final = 2.0
_ASK_AFTER_S: Final = SILENT_S / 2
_OK: Final = "OK"
_CANCELLED: Final = "CANCELLED"

Reply = TypeVar("Reply")


class Server:
    """The server at ``address``, which ``client`` calls. For one event loop.

    ``counts_s``: a call that ends with its deadline is a failure if it had so many seconds. ``on_change`` is called when its
    connection or its health has changed, ``on_status`` when other versions are AVAILABLE on it than before.

    - ``rows``: those of the calls in flight. ``in_flight``: how many calls there are. ``calls``: how many ended with which
      status since the metrics have shown them.
    - ``statuses``: what it last said of each model that it has, since it was connected.
    """

    def __init__(
        self,
        address: str,
        client: BackendClient,
        counts_s: float,
        on_change: Callable[["Server"], object],
        on_status: Callable[[], object],
    ) -> None:
        self.address = address
        self.client = client
        self.rows = 0
        self.in_flight = 0
        self.calls: dict[str, int] = {}
        self.health: Health = WELL
        self.statuses: dict[str, ModelStatus] = {}
        self._counts_s = counts_s
        self._on_change = on_change
        self._on_status = on_status
        self._busy_s = 0.0
        self._questions: dict[str, asyncio.Task[ModelStatus | GatewayError]] = {}
        self._asked_s = 0.0  # when the last question was put that must be answered
        client.on_change(self._note_connection)

    @property
    def is_connected(self) -> bool:
        """Whether the connection stands."""
        return self.client.is_connected

    def has(self, model: ModelRef) -> bool:
        """Whether it is known to have the version that ``model`` names, or any."""
        return choice.has(self.statuses.get(model.name), model.version)

    async def run(self, rows: int, call: Callable[[BackendClient], Awaitable[Reply]]) -> Reply:
        """The reply to a ``call`` with so many rows. Raises what it raises."""
        began_s = self._begin(rows)
        outcome = _CANCELLED
        try:
            reply = await call(self.client)
            outcome = _OK
        except GatewayError as error:
            outcome = error.code
            self._note_error(error, began_s)
            raise
        finally:
            self.in_flight -= 1
            self.rows -= rows
            self.calls[outcome] = self.calls.get(outcome, 0) + 1
        if self.health is not WELL:
            self.health = ejection.succeeded(self.health, time.monotonic())
        return reply

    async def ask(self, model: str, deadline: Deadline) -> ModelStatus:
        """What it says of ``model`` now. Raises GatewayError."""
        self._begin(0)
        try:
            status = await self.client.status(ModelRef(model), deadline)
        except NotFound as error:
            self.note_status(ModelStatus(model, problem=error.message))
            raise
        finally:
            self.in_flight -= 1
        self.note_status(status)
        return status

    def question(self, model: str) -> "asyncio.Task[ModelStatus | GatewayError]":
        """The question for ``model`` that is under way, or else a new one; it ends by itself, whether anybody waits or not.

        One that has no version says so; an error is why it did not answer.
        """
        task = self._questions.get(model)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._answer(model), name="backend status")
            self._questions[model] = task
            task.add_done_callback(lambda _: self._questions.pop(model, None))
        return task

    def note_status(self, status: ModelStatus) -> None:
        """It has said ``status``. Which calls it may get changes with the versions that are AVAILABLE."""
        if not status.versions:  # of any name that a client may think of
            self.forget(status.name)
            return
        before = self.statuses.get(status.name)
        self.statuses[status.name] = status
        if before is None or before.available != status.available:
            self._on_status()

    def forget(self, model: str) -> None:
        """It does not have ``model``, whatever it said."""
        if self.statuses.pop(model, None) is not None:
            self._on_status()

    def look(self, now_s: float) -> None:
        """See whether it is silent: whether it has had calls for ``SILENT_S``, and answered none, nor a question put since.

        So a model that takes longer does not make its server silent.
        """
        heard_s = max(self._busy_s, self.client.answered_s)
        if self.health.is_silent:
            if self.client.answered_s > self.health.since_s:
                self.health = ejection.heard(self.health)
                self._on_change(self)
                return
        elif not self.in_flight or now_s - heard_s < _ASK_AFTER_S or not self.is_connected:
            return
        elif now_s - heard_s >= SILENT_S and heard_s < self._asked_s <= now_s - _ASK_AFTER_S:
            self.health = ejection.silent(self.health, now_s)
            self.statuses.clear()
            self._on_change(self)
        if self._asked_s <= max(heard_s, now_s - ANSWER_S):
            self._asked_s = now_s
            self.question(next(iter(self.statuses), ""))

    async def close(self) -> None:
        """Close the connection; calls in flight find the server away."""
        questions = list(self._questions.values())
        for task in questions:
            task.cancel()
        await asyncio.gather(*questions, return_exceptions=True)
        await self.client.close()

    async def _answer(self, model: str) -> ModelStatus | GatewayError:
        try:
            return await self.ask(model, Deadline.after(ANSWER_S))
        except NotFound as error:
            return ModelStatus(model, problem=error.message)
        except GatewayError as error:
            return error

    def _begin(self, rows: int) -> float:
        now_s = time.monotonic()
        if not self.in_flight and self.client.answered_s >= self._busy_s:
            self._busy_s = now_s
        self.in_flight += 1
        self.rows += rows
        return now_s

    def _note_error(self, error: GatewayError, began_s: float) -> None:
        """Errors of the model, and a full queue, would be the same elsewhere: they are no failures of the server."""
        now_s = time.monotonic()
        if isinstance(error, Away) or (isinstance(error, DeadlineExceeded) and now_s - began_s >= self._counts_s):
            before, self.health = self.health, ejection.failed(self.health, now_s)
            if self.health.since_s != before.since_s:
                self._on_change(self)

    def _note_connection(self) -> None:
        self._asked_s = 0.0  # so that a silent one is asked at once
        if not self.is_connected:
            # It may come back with other models.
            self.statuses.clear()
        self._on_change(self)
