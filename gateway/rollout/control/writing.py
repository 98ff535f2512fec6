"""Writes a model's policy into the model config file, and has the servers read it. It runs beside the follower."""

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.backend import version_policy
from gateway.backend.model_config import ModelConfigError
from gateway.backend.version_policy import NotWritable
from gateway.rollout.control.jobs import Jobs
from gateway.rollout.control.sight import Servers
from gateway.telemetry.logs import logger

log = logger("rollout")

_AGAIN_S: Final = 5.0
_RELOAD_S: Final = 60.0


@dataclass(slots=True)
class Attempt:
    """What came of writing ``source``, the policy of one model.

    - ``problem``: why the file could not be written; empty if it was, or needed no change.
    - ``refusals``: what servers said against the file, by address. A server that cannot be told reads it by itself.
    - ``is_told``: this worker has asked them to read it.
    """

    source: str
    problem: str = ""
    refusals: dict[str, str] = field(default_factory=dict)
    is_told: bool = False
    ended_s: float = 0.0


class Writing:
    """The attempts of one worker, by plan. ``config_file``: None: there is nothing to write. For one event loop."""

    def __init__(self, servers: Servers, config_file: Path | None, now: Callable[[], float] = time.monotonic) -> None:
        self._servers = servers
        self._config_file = config_file
        self._now = now
        self._jobs = Jobs()
        self._attempts: dict[str, Attempt] = {}

    def attempt(self, plan_id: str) -> Attempt | None:
        """The last attempt that is over."""
        return self._attempts.get(plan_id)

    def put(self, plan_id: str, model: str, source: str) -> None:
        """Have the file say ``source`` of ``model``, and the servers read it, unless that was tried a moment ago."""
        last = self._attempts.get(plan_id)
        if last is None or last.source != source or self._now() - last.ended_s >= _AGAIN_S:
            self._jobs.start(plan_id, lambda: self._put(plan_id, model, source))

    def tell(self, plan_id: str, source: str) -> None:
        """Have the servers read the file as it is."""
        self._jobs.start(plan_id, lambda: self._tell(plan_id, Attempt(source)))

    def forget_all_but(self, plan_ids: Collection[str]) -> None:
        """Other plans are over. What has begun for them ends."""
        self._attempts = {plan_id: attempt for plan_id, attempt in self._attempts.items() if plan_id in plan_ids}

    async def close(self) -> None:
        """Stop."""
        await self._jobs.close()

    async def _put(self, plan_id: str, model: str, source: str) -> None:
        attempt = Attempt(source)
        if self._config_file is None:
            return
        try:
            is_changed = await asyncio.to_thread(write_policy, self._config_file, model, source)
        except (NotWritable, ModelConfigError) as error:
            attempt.problem = str(error)
            last = self._attempts.get(plan_id)
            if last is None or (last.source, last.problem) != (source, attempt.problem):  # it is tried for hours
                log.warning("rollout.file_not_written", rollout=plan_id, model=model, reason=str(error), entry=source)
        else:
            if is_changed:
                log.info("rollout.loading", rollout=plan_id, model=model, entry=source)
                await self._tell(plan_id, attempt)
        self._end(plan_id, attempt)

    async def _tell(self, plan_id: str, attempt: Attempt) -> None:
        if self._config_file is None:
            return
        try:
            text = await asyncio.to_thread(version_policy.read, self._config_file)
            attempt.is_told = True
            replies = await self._servers.reload(text, _RELOAD_S)
        except ModelConfigError as error:
            attempt.problem = str(error)
        else:
            attempt.refusals = {address: reply for address, reply in replies.items() if reply}
            log.info("rollout.reloaded", rollout=plan_id, servers=len(replies), refusals=attempt.refusals)
        self._end(plan_id, attempt)

    def _end(self, plan_id: str, attempt: Attempt) -> None:
        attempt.ended_s = self._now()
        self._attempts[plan_id] = attempt


def write_policy(config_file: Path, model: str, source: str) -> bool:
    """Have the file say ``source`` of ``model``. Returns whether it had to be changed. Raises NotWritable, ModelConfigError."""
    return version_policy.write(config_file, lambda text: version_policy.with_policy(text, model, source))
