"""A Pod's life: its containers are started, probed, restarted where a probe says so, and ended in the kubelet's order."""

import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tests.kubernetes.kubelet.asking import passes
from tests.kubernetes.kubelet.container import Container, Settings, command_line, rights
from tests.kubernetes.kubelet.images import image
from tests.kubernetes.kubelet.manifests import Document, Manifests
from tests.kubernetes.kubelet.network import Node
from tests.kubernetes.kubelet.probe import Handler, Health

TICK_S = 0.05
NAMESPACE = "default"


@dataclass(frozen=True)
class Event:
    """``what`` happened to a Pod, by the monotonic clock."""

    at_s: float
    what: str


class Pod:
    """One Pod of ``template``. Its thread is the kubelet; ``delete`` begins its end, ``is_gone`` when that is over."""

    def __init__(
        self, name: str, template: Document, manifests: Manifests, node: Node, folder: Path, *, resolv_conf: str
    ) -> None:
        self.name = name
        self.labels: dict[str, str] = template["metadata"]["labels"]
        self.events: list[Event] = []
        self.is_deleted = threading.Event()
        self.is_gone = False
        self._passes = False
        self._is_discarded = False
        self.restarts = 0
        self.error: BaseException | None = None
        self.namespace, self.address = node.add()
        self._spec: Document = template["spec"]
        self._manifests = manifests
        self._node = node
        self._folder = folder
        self._resolv_conf = resolv_conf
        self._volumes = {
            volume["name"]: manifests.volume(volume, folder / "volumes" / volume["name"]) for volume in self._spec["volumes"]
        }
        [self.document] = self._spec["containers"]
        if self._spec.get("initContainers"):
            raise ValueError(f"Pod {name!r}: the simulation runs Pods of one container")
        self._begin()
        self._thread = threading.Thread(target=self._live, name=name)
        self._thread.start()

    @property
    def is_ready(self) -> bool:
        """Whether it may get requests."""
        return self._passes and not self.is_deleted.is_set()

    def note(self, what: str) -> None:
        """Record what happened."""
        self.events.append(Event(time.monotonic(), what))

    def when(self, what: str) -> float:
        """When that happened for the last time. Raises AssertionError if it did not."""
        for event in reversed(self.events):
            if event.what == what:
                return event.at_s
        raise AssertionError(f"{self.name}: {what!r} is not among {[event.what for event in self.events]}")

    def port(self, name: str | int) -> int:
        """The number of a port of the container."""
        if isinstance(name, int):
            return name
        return next(port["containerPort"] for port in self.document["ports"] if port["name"] == name)

    def log(self) -> str:
        """What the container wrote since it was last started."""
        return self.container.log.read_text(errors="replace")

    def delete(self) -> None:
        """Begin its end; it is not ready from now on."""
        self.note("deleted")
        self.is_deleted.set()

    def discard(self) -> None:
        """End it at once, without hooks and signals."""
        self._is_discarded = True
        self.is_deleted.set()
        self.container.kill()

    def wait(self) -> None:
        """Wait until it is gone."""
        self._thread.join()

    def _begin(self) -> None:
        self.note("started")
        self.container = Container(self.settings(), self.namespace, self._folder / f"container{self.restarts}")
        self.health = Health(self.document, time.monotonic())

    def settings(self) -> Settings:
        """What the manifest says of the container, for this Pod."""
        its_image = image(self.document["image"])
        fields = {"metadata.name": self.name, "metadata.namespace": NAMESPACE, "status.podIP": self.address}
        user, groups = rights(self.document, self._spec)
        mounts = self.document["volumeMounts"]
        return Settings(
            its_image,
            command_line(self.document, its_image),
            {**its_image.environment, "HOSTNAME": self.name, **self._manifests.environment(self.document, fields)},
            user,
            groups,
            {mount["mountPath"]: (self._volumes[mount["name"]], mount.get("readOnly", False)) for mount in mounts},
            {
                "/etc/resolv.conf": self._resolv_conf,
                "/etc/hosts": f"127.0.0.1 localhost\n{self.address} {self.name}\n",
            },
            self.name,
        )

    def _live(self) -> None:
        try:
            while not self.is_deleted.wait(TICK_S):
                self._look_after()
            if not self._is_discarded:
                self._end()
        except BaseException as error:  # noqa: BLE001 - the test's thread raises it
            self.error = error
        finally:
            self.container.kill()
            self._node.remove(self.namespace)
            self._passes = False
            self.is_gone = True

    def _look_after(self) -> None:
        self.health.step(time.monotonic(), self._ask)
        status = self.container.exit_status
        if status is not None or self.health.has_failed:
            self._passes = False
            if status is None:
                self.note(f"{self.health.has_failed} failed")
                self._end()
            else:
                self.note(f"exit {status}")
            self.restarts += 1
            self._begin()
        self._passes = self.health.is_ready

    def _ask(self, handler: Handler, timeout_s: float) -> bool:
        return passes(handler, self.address, self.port, lambda *words: self.container.run(*words).returncode, timeout_s)

    def _end(self) -> None:
        """preStop, SIGTERM and, when the grace period is over, SIGKILL. The period begins before preStop."""
        until_s = time.monotonic() + self._spec["terminationGracePeriodSeconds"]
        pre_stop = self.document.get("lifecycle", {}).get("preStop")
        if pre_stop:
            self.note("preStop")
            self._run_pre_stop(pre_stop, until_s)
        self.note("TERM")
        self.container.send(signal.SIGTERM)
        if self.container.wait(until_s - time.monotonic()) is None:
            self.note("KILL")
            self.container.send(signal.SIGKILL)
        self.note(f"exit {self.container.wait(20)}")

    def _run_pre_stop(self, handler: Handler, until_s: float) -> None:
        [(kind, details)] = handler.items()
        left_s = until_s - time.monotonic()
        if kind == "sleep":
            self.container.wait(min(details["seconds"], left_s))
        elif kind == "exec":
            self.container.run(details["command"], left_s)
        else:
            raise ValueError(f"preStop: expected sleep or exec, not {kind!r}")
