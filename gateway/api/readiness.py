"""Whether the gateway should get requests and why not, and the state of each model."""

from collections.abc import Callable, Sequence
from typing import Any

from gateway.inference.catalog import Catalog
from gateway.inference.status import ModelStatus


class Readiness:
    """A gateway is ready when all its workers reach every model that must be served, unless it is being stopped.

    ``not_ready_elsewhere`` gives the names of the models that another worker cannot reach: the next request may come to any
    worker. ``problem`` says why this worker does not know yet to which of several versions requests should go; empty if it
    does.
    """

    def __init__(
        self,
        catalog: Catalog,
        not_ready_elsewhere: Callable[[], frozenset[str]],
        is_draining: Callable[[], bool],
        problem: Callable[[], str] = lambda: "",
    ) -> None:
        self._problem = problem
        self._catalog = catalog
        self._not_ready_elsewhere = not_ready_elsewhere
        self._is_draining = is_draining

    def reasons(self, may_see: Callable[[str], bool]) -> list[str]:
        """The reasons why the gateway should get no requests; empty when it is ready.

        They name the models that the caller may know of (``may_see``), and only count the others.
        """
        models = self._catalog.required()
        if self._is_draining():
            return ["the gateway is shutting down"]
        if self._problem() and any(len(model.available) > 1 for model in models):
            return [self._problem()]
        problem = self._catalog.connection_problem()
        if problem or (not models and not self._catalog.is_reachable()):
            away = "the gateway has no connection to the model server"
            return [f"{away}: {problem}" if problem else away]
        found = {model.name: "; ".join(model.problems) for model in models if not model.is_ready}
        if not found:
            elsewhere = self._not_ready_elsewhere()
            found = {model.name: "not every worker can reach it yet" for model in models if model.name in elsewhere}
        shown = [f"{name}: {problem}" for name, problem in found.items() if may_see(name)]
        hidden = [model for model in models if model.name in found and not may_see(model.name)]
        return [*shown, _counted(hidden)] if hidden else shown


def readiness_entry(model: ModelStatus) -> dict[str, Any]:
    """A model in a list of all: the state of each version, and what is wrong."""
    versions = [{"version": str(version.version), "state": version.state} for version in model.versions]
    return {"name": model.name, "ready": model.is_ready, "versions": versions, "problems": list(model.problems)}


def _counted(models: Sequence[ModelStatus]) -> str:
    """A reason that names none of ``models``, which are not ready."""
    failed = sum(model.has_failed for model in models)
    return f"models that are not ready: {len(models)}{f', failed: {failed}' if failed else ''}"
