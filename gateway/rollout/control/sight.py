"""What a worker sees of a model outside of the database: what each model server serves, and what the model config file says."""

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from gateway.backend.model_config import ModelConfigError
from gateway.backend.version_policy import Policies, VersionPolicy, read
from gateway.errors import DeadlineExceeded, GatewayError, ResourceExhausted
from gateway.inference.status import ModelStatus
from gateway.rollout.control.jobs import Jobs

_ANSWER_S: Final = 2.0
_BUSY_S: Final = 30.0
"""For so long a server that is too busy to answer serves what it said last."""

_BUSY: Final = (DeadlineExceeded, ResourceExhausted)


class Servers(Protocol):
    """Every model server behind the target (``gateway.backend.servers.each.Each``)."""

    async def statuses(self, model: str, within_s: float) -> dict[str, ModelStatus | GatewayError]:
        """What each server says of ``model``, by its address, or why it did not."""

    async def reload(self, config: str, within_s: float) -> dict[str, str]:
        """Tell each server to serve what the text ``config`` asks for: "" where it does, or else why not."""


@dataclass(frozen=True, slots=True)
class Sight:
    """One look at a model.

    - ``told``: what each server serves, by its address. ``silent``: the servers that could not be asked, and why. No request
      goes there while others answer.
    - ``policy``: what the file says; None if that cannot be read (``file_problem``), or if there is no file.
    - ``looks``: how many looks in a row have found the file so.
    """

    told: Mapping[str, ModelStatus] = field(default_factory=dict)
    silent: Mapping[str, str] = field(default_factory=dict)
    policy: VersionPolicy | None = None
    file_problem: str = ""
    looks: int = 1


class Sights:
    """Looks at models again and again, beside the follower. ``config_file``: None: there is none. For one event loop."""

    def __init__(
        self,
        servers: Servers,
        config_file: Path | None,
        now: Callable[[], float] = time.monotonic,
        policies: Callable[[str], Policies] = Policies,
    ) -> None:
        self._servers = servers
        self._file = None if config_file is None else _ConfigFile(config_file, policies)
        self._now = now
        self._jobs = Jobs()
        self._seen: dict[str, Sight] = {}
        self._heard: dict[str, dict[str, tuple[ModelStatus, float]]] = {}

    def of(self, model: str) -> Sight | None:
        """The last look at ``model``; None until the first one is over."""
        return self._seen.get(model)

    def look(self, models: Collection[str]) -> None:
        """Begin to look at ``models`` once more, and forget others."""
        for model in models:
            self._jobs.start(model, lambda model=model: self._look_at(model))  # type: ignore[misc]
        for known in (self._seen, self._heard):
            for gone in known.keys() - set(models):
                del known[gone]

    async def close(self) -> None:
        """Stop looking."""
        await self._jobs.close()

    async def _look_at(self, model: str) -> None:
        replies, (policy, problem) = await asyncio.gather(
            self._servers.statuses(model, _ANSWER_S), asyncio.to_thread(self._read, model)
        )
        told, silent = self._sorted(model, replies)
        before = self._seen.get(model)
        is_same = before is not None and (before.policy, before.file_problem) == (policy, problem)
        self._seen[model] = Sight(told, silent, policy, problem, before.looks + 1 if before is not None and is_same else 1)

    def _read(self, model: str) -> tuple[VersionPolicy | None, str]:
        if self._file is None:
            return None, ""
        try:
            return self._file.policy_of(model), ""
        except ModelConfigError as error:
            return None, str(error)

    def _sorted(
        self, model: str, replies: Mapping[str, ModelStatus | GatewayError]
    ) -> tuple[dict[str, ModelStatus], dict[str, str]]:
        """The servers that serve something, and those that are silent."""
        heard, now_s = self._heard.get(model, {}), self._now()
        told: dict[str, ModelStatus] = {}
        silent: dict[str, str] = {}
        kept: dict[str, tuple[ModelStatus, float]] = {}
        for address, reply in replies.items():
            if isinstance(reply, ModelStatus):
                kept[address] = (reply, now_s)
            elif isinstance(reply, _BUSY) and now_s - heard.get(address, (None, -_BUSY_S))[1] < _BUSY_S:
                kept[address] = heard[address]
            else:
                silent[address] = reply.message
                continue
            told[address] = kept[address][0]
        self._heard[model] = kept
        return told, silent


class _ConfigFile:
    """The model config file. Each look reads it, and parses it if its text is another one. Thread-safe."""

    def __init__(self, path: Path, policies: Callable[[str], Policies]) -> None:
        self._path = path
        self._policies_of = policies
        self._lock = threading.Lock()
        self._last: tuple[str, Policies] | None = None

    def policy_of(self, model: str) -> VersionPolicy:
        """What it asks for of ``model``. Raises ModelConfigError."""
        with self._lock:  # the threads of many models read it at once, and one parses it
            text = read(self._path)
            if self._last is None or self._last[0] != text:
                self._last = text, self._policies_of(text)
            _, policies = self._last
        return policies.of(model)
