"""The signatures of all versions that answer, for lists of them.

The catalog itself asks only for those of a model's newest version, and of versions that requests have named.
"""

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Final, TypeAlias

from gateway.deadline import Deadline
from gateway.errors import GatewayError
from gateway.inference.catalog import Catalog
from gateway.inference.signature import ModelRef, ServedModel
from gateway.inference.status import ModelStatus

_AT_ONCE: Final = 16  # questions under way
_MOST: Final = 64  # questions for one list, so that it does not wait for thousands
_ANSWER_S: Final = 0.5
_AGAIN_S: Final = 30.0  # after a question that brought nothing

Version: TypeAlias = tuple[str, int]
"""A model's name, and the number of one of its versions."""


class Signatures:
    """What is known of the versions. For one event loop."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._asked_s: dict[Version, float] = {}

    async def of(self, models: Iterable[ModelStatus]) -> dict[Version, ServedModel]:
        """The versions of ``models`` whose signatures are known. Some others are asked for, which takes half a second at most.

        What is not known yet is asked for by the next lists.
        """
        models = tuple(models)
        missing = self._missing(models, self._known(models))
        if missing:
            places, deadline = asyncio.Semaphore(_AT_ONCE), Deadline.after(_ANSWER_S)
            await asyncio.gather(*(self._ask(version, places, deadline) for version in missing))
        return self._known(models)

    def _known(self, models: tuple[ModelStatus, ...]) -> dict[Version, ServedModel]:
        return {(model.name, served.version): served for model in models for served in self._catalog.known(model.name)}

    def _missing(self, models: tuple[ModelStatus, ...], known: dict[Version, ServedModel]) -> list[Version]:
        now_s = time.monotonic()
        self._asked_s = {version: at_s for version, at_s in self._asked_s.items() if now_s - at_s < _AGAIN_S}
        wanted = ((model.name, number) for model in models for number in model.available)
        missing = [version for version in wanted if version not in known and version not in self._asked_s][:_MOST]
        self._asked_s |= dict.fromkeys(missing, now_s)
        return missing

    async def _ask(self, version: Version, places: asyncio.Semaphore, deadline: Deadline) -> None:
        async with places:
            with suppress(GatewayError):
                await self._catalog.served(ModelRef(*version), deadline)
