"""Whom the catalog asks about models: one model server, or all those behind the target, which answer as one."""

from collections.abc import Callable
from typing import Protocol

from gateway.backend import stubs
from gateway.deadline import Deadline
from gateway.inference.signature import ModelRef
from gateway.inference.status import ModelStatus


class Asked(Protocol):
    """``BackendClient``, or ``servers.balanced.Balanced``. The questions raise GatewayError."""

    @property
    def is_connected(self) -> bool:
        """Whether a connection to a server stands."""

    @property
    def problem(self) -> str:
        """Why there is no connection, where a setting may be the cause; else empty."""

    @property
    def answered_s(self) -> float:
        """When a server last answered any call, in seconds of ``time.monotonic``."""

    def on_change(self, call: Callable[[], object]) -> None:
        """Have ``call`` called whenever the answers may be other ones than before."""

    async def status(self, model: ModelRef, deadline: Deadline) -> ModelStatus:
        """The versions of ``model`` that are there now."""

    async def metadata(self, model: ModelRef, deadline: Deadline) -> stubs.GetModelMetadataResponse:
        """The GetModelMetadata reply for ``model``."""
