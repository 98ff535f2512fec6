"""Lets the model servers keep the versions that a model has now, so that a new directory changes nothing.

``publish --rollout`` needs it: with the default policy a new version would answer every request as soon as it is there.
"""

import asyncio
from pathlib import Path
from typing import Any, Final

from gateway.backend.model_config import ModelConfigError
from gateway.backend.version_policy import NotWritable, policy_of, read, specific
from gateway.errors import FailedPrecondition, NotFound, Unavailable
from gateway.inference.status import ModelStatus
from gateway.rollout.control.sight import Servers
from gateway.rollout.control.writing import write_policy
from gateway.telemetry.logs import logger

log = logger("rollout")

_ANSWER_S: Final = 2.0
_RELOAD_S: Final = 60.0


class Pinning:
    """Pins models in ``config_file``, which the servers read. For one event loop."""

    def __init__(self, servers: Servers, config_file: Path | None) -> None:
        self._servers = servers
        self._config_file = config_file

    async def pin(self, model: str) -> dict[str, Any]:
        """Have the file name the versions that answer now, and the servers read it. For JSON:

        - ``versions``: those that the file names. ``changed``: whether it did not before. ``entry``: what it says.
        - ``servers``: "" for each address whose server has read the file, or else why that is not known.
        - ``confirmed``: whether all of them have. If not, they read the file by themselves within their poll interval.

        A file that names versions already is left as it is, since new directories change nothing there.

        Raises:
            FailedPrecondition: there is no file, or it cannot be written; the message has what an operator must write.
            NotFound: no version of the model answers, so that there is nothing to keep.
            Unavailable: no model server answers.
        """
        if self._config_file is None:
            raise FailedPrecondition(
                "GATEWAY_MODEL_CONFIG_FILE is not set: the gateway cannot tell the model server what to keep"
            )
        try:
            pinned = await asyncio.to_thread(_pinned, self._config_file, model)
            versions = pinned or await self._available(model)
            is_changed = not pinned and await self._written(self._config_file, model, versions)
            servers = await self._servers.reload(await asyncio.to_thread(read, self._config_file), _RELOAD_S)
        except ModelConfigError as error:
            raise FailedPrecondition(str(error)) from error
        log.info("rollout.pinned", model=model, versions=versions, changed=is_changed, servers=servers)
        return {
            "model": model,
            "versions": list(versions),
            "entry": specific(versions),
            "changed": is_changed,
            "servers": servers,
            "confirmed": bool(servers) and not any(servers.values()),
        }

    async def _available(self, model: str) -> tuple[int, ...]:
        """What any server serves: none of it must go."""
        replies = await self._servers.statuses(model, _ANSWER_S)
        told = [reply for reply in replies.values() if isinstance(reply, ModelStatus)]
        if not told:
            raise Unavailable("no model server answers")
        versions = {version for status in told for version in status.available}
        if not versions:
            raise NotFound(f"no version of model {model} is AVAILABLE: there is nothing to keep")
        return tuple(sorted(versions))

    async def _written(self, config_file: Path, model: str, versions: tuple[int, ...]) -> bool:
        source = specific(versions)
        try:
            return await asyncio.to_thread(write_policy, config_file, model, source)
        except NotWritable as error:
            said = f"the model config file cannot be changed here ({error}): write into the entry of model {model}: {source}"
            raise FailedPrecondition(said) from error


def _pinned(config_file: Path, model: str) -> tuple[int, ...] | None:
    return policy_of(read(config_file), model).specific
