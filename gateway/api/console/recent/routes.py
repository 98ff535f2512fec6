"""GET /admin/console/ring.json: the figures of the last ten minutes, of the models that the caller may see. Scope ``metadata``.

``?since=``: only what is later, in Unix time. ``?model=``: its versions, and the trail of its newest rollout, too.
"""

import asyncio
import gzip
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple, TypeVar
from urllib.parse import parse_qs

import orjson

from gateway.api.console.answers import PRIVATE, Content, etag_of, kept_answer
from gateway.api.console.recent.document import document
from gateway.api.console.recent.place import Place
from gateway.api.console.recent.ring import Ring
from gateway.api.console.recent.trails import TrailReader
from gateway.api.errors import JSON
from gateway.api.routes import Route
from gateway.call import Answer, Call, Caller
from gateway.errors import InvalidArgument

RULE: Final = "/admin/console/ring.json"
_READ_EVERY_S: Final = 0.25
_MOST_KEPT: Final = 64
_GZIP_LEVEL: Final = 5
_SHOWN: Final = 40  # characters


Result = TypeVar("Result")


class Asked(NamedTuple):
    """What a caller wants to know, and of which models it may know: None for all, whatever they are called."""

    since_s: float
    model: str
    models: frozenset[str] | None

    def may_see(self, model: str) -> bool:
        """Whether it may know of ``model``."""
        return self.models is None or model in self.models


class RingRoutes:
    """The handler. For one event loop; it reads and builds in a thread, once for all callers that ask for the same."""

    def __init__(self, place: Place, now: Callable[[], float] = time.monotonic) -> None:
        self._ring = Ring(place)
        self._trails = TrailReader(place)
        self._now = now
        self._read_s = -math.inf
        self._built: dict[Asked, Content] = {}
        self._seen_by: dict[str | None, frozenset[str]] = {}
        self._one_at_a_time = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, "console-ring")

    def routes(self) -> list[Route]:
        """The route, on the event loop: consoles ask once a second."""
        return [Route(RULE, ("GET",), self.ring, on_loop=True, scope="metadata")]

    async def close(self) -> None:
        """End the thread, once it has done what it does now."""
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)

    async def ring(self, call: Call) -> Answer:
        """The figures. Raises InvalidArgument for a query that cannot be read."""
        since_s, model = _query(call.query)
        async with self._one_at_a_time:
            await self._read()
            may_see = call.caller.may_see
            asked = Asked(since_s, model if may_see(model) else "", self._models_of(call.caller))
            content = self._built.get(asked)
            if content is None:
                content = await self._in_thread(self._build, asked)
                if len(self._built) >= _MOST_KEPT:
                    self._built.clear()
                self._built[asked] = content
        return kept_answer(call, content, [("Cache-Control", PRIVATE)])

    async def _read(self) -> None:
        if self._now() < self._read_s + _READ_EVERY_S:
            return
        self._read_s = self._now()
        if await self._in_thread(self._ring.read):
            self._built.clear()
            self._seen_by.clear()

    def _models_of(self, caller: Caller) -> frozenset[str] | None:
        if caller.may_see(""):
            return None
        if caller.name not in self._seen_by:
            names = {name for name, _ in self._ring.versions}
            self._seen_by[caller.name] = frozenset(name for name in names if caller.may_see(name))
        return self._seen_by[caller.name]

    def _build(self, asked: Asked) -> Content:
        trail = self._trails.of(asked.model) if asked.model else None
        told = document(self._ring, trail, since_s=asked.since_s, model=asked.model, may_see=asked.may_see)
        # In the order of the names, which is the same in every worker.
        body = orjson.dumps(told, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_SORT_KEYS)
        return Content(body, gzip.compress(body, _GZIP_LEVEL, mtime=0), JSON, etag_of(body))

    async def _in_thread(self, work: Callable[..., Result], *arguments: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)


def _query(query: str) -> tuple[float, str]:
    """The values of ``since`` and ``model``: 0 and the empty text when they are not there."""
    values = parse_qs(query, keep_blank_values=True)
    text = values.get("since", ["0"])[-1]
    try:
        since_s = float(text)
    except ValueError:
        since_s = math.nan
    if not math.isfinite(since_s):
        raise InvalidArgument(f"since: expected a number of seconds since 1970, got {text[:_SHOWN]!r}")
    return since_s, values.get("model", [""])[-1]
