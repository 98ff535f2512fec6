"""A Deployment: as many Pods as it asks for, and a rolling restart of them within maxSurge and maxUnavailable."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from tests.kubernetes.kubelet.manifests import Document
from tests.kubernetes.kubelet.pod import Pod


@dataclass(frozen=True)
class Limits:
    """How many Pods a Deployment has, and how many more and fewer while it replaces them."""

    replicas: int
    surge: int
    unavailable: int

    @classmethod
    def of(cls, spec: Document) -> "Limits":
        """Those of a manifest. Raises ValueError if its strategy is not RollingUpdate."""
        strategy, replicas = spec["strategy"], spec["replicas"]
        if strategy["type"] != "RollingUpdate":
            raise ValueError(f"strategy: expected RollingUpdate, not {strategy['type']!r}")
        update = strategy["rollingUpdate"]
        surge, unavailable = (
            _number(update["maxSurge"], replicas, math.ceil),
            _number(update["maxUnavailable"], replicas, math.floor),
        )
        return cls(replicas, surge, unavailable)


def _number(value: int | str, replicas: int, rounded: Callable[[float], int]) -> int:
    return value if isinstance(value, int) else rounded(int(value.rstrip("%")) * replicas / 100)


def step(limits: Limits, new: int, ready_new: int, old: int, ready_old: int) -> tuple[int, int]:
    """How many Pods to start, and how many old ones to delete, those that are not ready first. Pods that end do not count."""
    starts = max(0, min(limits.replicas - new, limits.replicas + limits.surge - new - old))
    least = limits.replicas - limits.unavailable
    unready_old = old - ready_old
    spare = max(0, new + old - least - (new - ready_new))
    deletes_unready = min(unready_old, spare)
    deletes_ready = min(ready_old, max(0, ready_new + ready_old - least))
    return starts, min(spare, deletes_unready + deletes_ready)


class Deployment:
    """The Pods of one Deployment. ``pods`` has all that there ever were."""

    def __init__(self, document: Document, make: Callable[[str, Document], Pod]) -> None:
        self.name: str = document["metadata"]["name"]
        self.pods: list[Pod] = []
        self.limits = Limits.of(document["spec"])
        self._template: Document = document["spec"]["template"]
        self._make = make
        self._first_new = 0  # Pods before this one are old

    @property
    def lasting(self) -> list[Pod]:
        """The Pods that are not being deleted."""
        return [pod for pod in self.pods if not pod.is_deleted.is_set()]

    @property
    def is_settled(self) -> bool:
        """Whether all Pods are new and ready, and no old one is left."""
        new = self.pods[self._first_new :]
        return (
            len(new) == self.limits.replicas
            and all(pod.is_ready for pod in new)
            and all(pod.is_gone for pod in self.pods[: self._first_new])
        )

    def restart(self) -> None:
        """Replace all Pods, as ``kubectl rollout restart``."""
        self._first_new = len(self.pods)

    def look(self) -> None:
        """Do what is to be done now."""
        new = self.pods[self._first_new :]
        old = [pod for pod in self.pods[: self._first_new] if not pod.is_deleted.is_set()]
        old.sort(key=lambda pod: pod.is_ready)
        starts, deletes = step(
            self.limits, len(new), sum(pod.is_ready for pod in new), len(old), sum(pod.is_ready for pod in old)
        )
        for pod in old[:deletes]:
            pod.delete()
        for _ in range(starts):
            self.pods.append(self._make(f"{self.name}-{len(self.pods)}", self._template))
