"""A Service: which Pods it leads to, known to everybody a while after it has changed."""

from collections import deque
from random import Random

from tests.kubernetes.kubelet.manifests import Document
from tests.kubernetes.kubelet.pod import Pod


class Service:
    """The ready Pods that ``document`` selects, as kube-proxy and the cluster's DNS know them ``lag_s`` later.

    A Pod's events say when it ``joined NAME`` and ``left NAME``, by what is known.
    """

    def __init__(self, document: Document, lag_s: float) -> None:
        self.name: str = document["metadata"]["name"]
        self.is_headless = document["spec"].get("clusterIP") == "None"
        self.known: tuple[Pod, ...] = ()
        self._selector: dict[str, str] = document["spec"]["selector"]
        self._ports = {port["port"]: port["targetPort"] for port in document["spec"]["ports"]}
        self._lag_s = lag_s
        self._random = Random()  # its own: Hypothesis objects when another thread draws from the common one
        self._last: tuple[Pod, ...] = ()
        self._changes: deque[tuple[float, tuple[Pod, ...]]] = deque()

    def look(self, now_s: float, pods: list[Pod]) -> None:
        """Take notice of the Pods as they are now, and of what is known by now."""
        ready = tuple(pod for pod in pods if pod.is_ready and self._selector.items() <= pod.labels.items())
        if ready != self._last:
            self._last = ready
            self._changes.append((now_s + self._lag_s, ready))
        while self._changes and self._changes[0][0] <= now_s:
            self._become(self._changes.popleft()[1])

    def _become(self, pods: tuple[Pod, ...]) -> None:
        before, self.known = self.known, pods
        for pod in before:
            if pod not in pods:
                pod.note(f"left {self.name}")
        for pod in pods:
            if pod not in before:
                pod.note(f"joined {self.name}")

    def choose(self, port: int) -> tuple[str, int]:
        """Where a new connection to ``port`` of the Service goes: to any of its Pods. Raises OSError if it has none."""
        known = self.known
        if not known:
            raise OSError(f"Service {self.name!r} has no Pod that is ready")
        pod = self._random.choice(known)
        return pod.address, pod.port(self._ports[port])
