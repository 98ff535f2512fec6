"""/admin/console/models.json: every version of every model that the caller may see, and where the requests go.

Ten pages that ask for it each second cost what one costs: callers that see the same models share an answer for a second, or for
longer where there are so many models that making it would take more than a hundredth of the time.
"""

import asyncio
import gzip
import time
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import orjson

from gateway.api.console.answers import PRIVATE, Content, etag_of, kept_answer
from gateway.api.console.signatures import Signatures
from gateway.api.errors import JSON
from gateway.api.routes import Route
from gateway.api.sight import visible
from gateway.api.tfserving.routes import WhyNotJoined
from gateway.call import Answer, Call
from gateway.inference.catalog import Catalog
from gateway.inference.signature import ServedModel
from gateway.inference.status import ModelStatus, VersionStatus
from gateway.rollout.plan import WHOLE, Arm, Plan, standing
from gateway.rollout.sentences import found_worse

_KEPT_S: Final = 1.0
_MOST_KEPT_S: Final = 5.0
_SHARE: Final = 0.01  # of a processor
_MOST_KEPT: Final = 8  # answers, for as many sets of models
_LEVEL: Final = 1  # of gzip: names repeat so much that more work saves little

Since: TypeAlias = Callable[[str, int], float | None]
"""Since when a version of a model is in its state, in seconds since 1970; None: that is not known."""

PlanOf: TypeAlias = Callable[[str], Plan | None]
"""The plan that says where the requests for a model go; None: none does."""


class Models:
    """The handler. ``why_not_joined`` says why requests for a signature are never joined into batches; None: they may be."""

    def __init__(self, catalog: Catalog, why_not_joined: WhyNotJoined, plan_of: PlanOf, since: Since) -> None:
        self._catalog = catalog
        self._signatures = Signatures(catalog)
        self._why_not_joined = why_not_joined
        self._plan_of = plan_of
        self._since = since
        self._lock = asyncio.Lock()
        self._kept: dict[tuple[str, ...], tuple[float, Content]] = {}  # by patterns of models, until when

    def routes(self) -> list[Route]:
        """The route."""
        return [Route("/admin/console/models.json", ("GET",), self.models, on_loop=True, scope="metadata")]

    async def models(self, call: Call) -> Answer:
        """The models that the caller may see."""
        seen = call.caller.models
        until_s, content = self._kept.get(seen, (0.0, None))
        if content is None or time.monotonic() >= until_s:
            content = await self._one_at_a_time(call, seen)
        return kept_answer(call, content, [("Cache-Control", PRIVATE)])

    async def _one_at_a_time(self, call: Call, seen: tuple[str, ...]) -> Content:
        async with self._lock:
            until_s, content = self._kept.get(seen, (0.0, None))
            if content is None or time.monotonic() >= until_s:  # else it was made while this call waited
                statuses = visible(call, self._catalog.models())
                known = await self._signatures.of(statuses)
                began_s = time.thread_time()
                document = {"models": [self._model(status, known) for status in statuses]}
                cost_s = time.thread_time() - began_s
                content = await asyncio.to_thread(_content, document)
                self._keep(seen, content, min(max(_KEPT_S, cost_s / _SHARE), _MOST_KEPT_S))
        return content

    def _keep(self, seen: tuple[str, ...], content: Content, for_s: float) -> None:
        if len(self._kept) >= _MOST_KEPT:
            self._kept = {}
        self._kept[seen] = time.monotonic() + for_s, content

    def _model(self, status: ModelStatus, known: dict[tuple[str, int], ServedModel]) -> dict[str, Any]:
        plan = self._plan_of(status.name)
        weights = _weights(status, plan)
        arms = {} if plan is None or plan.is_ended else {plan.stable: Arm.STABLE, plan.canary: Arm.CANARY}
        return {
            "name": status.name,
            "ready": status.is_ready,
            "problems": status.problems,
            "rollout": _rollout(plan),
            "lagging": [{"server": lag.server, "lacks": lag.lacks} for lag in status.lagging],
            "versions": [
                {
                    "version": str(version.version),
                    "state": version.state,
                    "reason": _reason(version),
                    "since": self._since(status.name, version.version),
                    "weight": weights.get(version.version, 0.0) if weights else None,
                    "arm": arms.get(version.version),
                    "signatures": self._joined(known.get((status.name, version.version))),
                }
                for version in status.versions
            ],
        }

    def _joined(self, served: ServedModel | None) -> list[dict[str, Any]]:
        if served is None:
            return []
        return [
            {"name": signature.name, "not_joined": self._why_not_joined(served, signature)}
            for signature in served.called_signatures
        ]


def _weights(status: ModelStatus, plan: Plan | None) -> dict[int | None, float]:
    """The part of the requests that name no version, by version; empty when none is answered."""
    if plan is not None:
        weight = plan.canary_weight / WHOLE
        weights: dict[int | None, float] = {plan.canary: weight}
        # Both are one version after a start without the database.
        weights[plan.stable] = weights.get(plan.stable, 0.0) + 1.0 - weight
        return weights
    return {status.available[0]: 1.0} if status.is_ready else {}


def _rollout(plan: Plan | None) -> dict[str, Any] | None:
    """Where the open rollout of a model stands, and whether its new version was found to be worse; None: it has no two."""
    if plan is None or plan.stable == plan.canary:
        return None
    worse = found_worse(plan)
    return {"version": str(plan.canary), "stands": worse or standing(plan.state, plan.hold), "is_bad": bool(worse)}


def _reason(version: VersionStatus) -> str:
    """Why the version has failed; empty if it has not."""
    return f"{version.error_code}: {version.error_message}" if version.has_failed else ""


def _content(document: dict[str, Any]) -> Content:
    body = orjson.dumps(document)
    return Content(body, gzip.compress(body, _LEVEL, mtime=0), JSON, etag_of(body))
