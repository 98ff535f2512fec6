"""A cluster of one node: it applies the Deployments and Services of rendered manifests."""

import threading
import time
from contextlib import ExitStack
from pathlib import Path

from tests.kubernetes.kubelet.deployment import Deployment
from tests.kubernetes.kubelet.manifests import Document, Manifests
from tests.kubernetes.kubelet.name_server import NameServer
from tests.kubernetes.kubelet.network import Node
from tests.kubernetes.kubelet.pod import TICK_S, Pod
from tests.kubernetes.kubelet.service import Service

# How long kube-proxy and the DNS take to hear of a change. A Pod must answer what it is sent within this time of its deletion.
LAG_S = 1.0


class Cluster:
    """Runs ``manifests`` from enter to exit. ``folder`` is empty, and takes the files and logs of all Pods."""

    def __init__(self, manifests: Manifests, folder: Path) -> None:
        self.deployments = {
            document["metadata"]["name"]: Deployment(document, self._make) for document in manifests.of_kind("Deployment")
        }
        self.services = {document["metadata"]["name"]: Service(document, LAG_S) for document in manifests.of_kind("Service")}
        self._manifests = manifests
        self._folder = folder
        self._stack = ExitStack()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._control, name="controllers")
        self._error: BaseException | None = None

    @property
    def pods(self) -> list[Pod]:
        """All Pods that there ever were."""
        return [pod for deployment in self.deployments.values() for pod in deployment.pods]

    def __enter__(self) -> "Cluster":
        with ExitStack() as stack:
            self._node = stack.enter_context(Node())
            self._names = stack.enter_context(NameServer(self._node.address, self._addresses))
            stack.callback(self._end)
            self._thread.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _end(self) -> None:
        self._is_over.set()
        self._thread.join()
        for pod in self.pods:
            pod.discard()
        for pod in self.pods:
            pod.wait()

    def check(self) -> None:
        """Raise what went wrong in the cluster's own threads."""
        for error in (self._error, *(pod.error for pod in self.pods)):
            if error is not None:
                raise error

    def is_settled(self, *names: str) -> bool:
        """Whether these Deployments, or all of them, have their Pods, and everybody knows of them. Raises as ``check`` does."""
        self.check()
        wanted = [self.deployments[name] for name in names or self.deployments]
        known = {pod for service in self.services.values() for pod in service.known}
        return all(deployment.is_settled and known.issuperset(deployment.lasting) for deployment in wanted)

    def _control(self) -> None:
        try:
            while not self._is_over.wait(TICK_S):
                for deployment in self.deployments.values():
                    deployment.look()
                for service in self.services.values():
                    service.look(time.monotonic(), self.pods)
        except BaseException as error:  # noqa: BLE001 - the test's thread raises it
            self._error = error

    def _make(self, name: str, template: Document) -> Pod:
        return Pod(name, template, self._manifests, self._node, self._folder / name, resolv_conf=self._names.resolv_conf)

    def _addresses(self, name: str) -> list[str] | None:
        service = self.services.get(name)
        return [pod.address for pod in service.known] if service and service.is_headless else None
