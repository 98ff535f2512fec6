"""What makes a gateway not ready, and what it costs to find out."""

from gateway.api.readiness import Readiness
from gateway.inference.status import ModelStatus, VersionStatus


class Catalog:
    """So many models, all of which are ready here."""

    def __init__(self, models: int) -> None:
        self._models = tuple(ModelStatus(f"m{number}", (VersionStatus(1, "AVAILABLE"),)) for number in range(models))

    def required(self):
        return self._models

    def connection_problem(self) -> str:
        return ""


def test_the_other_workers_are_asked_once_for_all_models():
    """Their answer is read from files, on the event loop that requests wait for."""
    asked = []

    def not_ready_elsewhere() -> frozenset[str]:
        asked.append(True)
        return frozenset({"m7", "m9", "of another gateway"})

    readiness = Readiness(Catalog(1_000), not_ready_elsewhere, is_draining=lambda: False)
    reasons = readiness.reasons(lambda name: name != "m9")
    assert reasons == ["m7: not every worker can reach it yet", "models that are not ready: 1"]
    assert len(asked) == 1
