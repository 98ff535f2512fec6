"""A container as a process: PID 1 of namespaces of its own, with the root, the user and the rights of the manifest."""

import shlex
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.kubernetes.kubelet.images import Image
from tests.kubernetes.kubelet.manifests import Document, Volume
from tests.kubernetes.kubelet.root import root_of
from tests.waiting import wait_for


@dataclass(frozen=True)
class Settings:
    """What the kubelet makes of a container. ``files``: path -> text; ``volumes``: path -> volume and if it is read-only."""

    image: Image
    command: list[str]
    environment: dict[str, str]
    user: int
    groups: tuple[int, ...]  # its own one, and others
    volumes: dict[str, tuple[Volume, bool]]
    files: dict[str, str] = field(default_factory=dict)
    hostname: str = "pod"

    def as_user(self) -> list[str]:
        """The beginning of a command line that gives away all rights but the container's, and takes its environment."""
        rights = ["setpriv", f"--reuid={self.user}", f"--regid={self.groups[0]}", f"--groups={','.join(map(str, self.groups))}"]
        rights += ["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        return [*rights, "env", "--ignore-environment", f"--chdir={self.image.folder}", *variables]


def rights(container: Document, pod: Document) -> tuple[int, tuple[int, ...]]:
    """User and groups of a container. Raises ValueError for rights that cannot be given here: only the strictest can."""
    context = pod.get("securityContext", {}) | container.get("securityContext", {})
    is_strict = (
        context.get("readOnlyRootFilesystem") is True
        and context.get("allowPrivilegeEscalation") is False
        and context.get("capabilities") == {"drop": ["ALL"]}
        and context.get("runAsUser", 0) > 0
    )
    if not is_strict:
        raise ValueError(
            f"container {container['name']!r}: expected a user, a read-only root and no capabilities, not {context}"
        )
    return context["runAsUser"], (context["runAsGroup"], *([context["fsGroup"]] if "fsGroup" in context else []))


def command_line(container: Document, image: Image) -> list[str]:
    """As Kubernetes joins it of manifest and image: the manifest's command also takes the place of the image's arguments."""
    arguments = container.get("args")
    if "command" in container:
        return [*container["command"], *(arguments or [])]
    return [*image.entrypoint, *(image.command if arguments is None else arguments)]


class Container:
    """A started process. ``folder`` is its own, and does not exist yet."""

    def __init__(self, settings: Settings, namespace: str, folder: Path) -> None:
        self.log = folder / "log"
        self._settings = settings
        layer, root = folder / "layer", folder / "root"
        for made in (layer, root):
            made.mkdir(parents=True)
        mounts = root_of(settings.image, settings.volumes, settings.files, layer, root).commands()
        start = shlex.join(["exec", "chroot", str(root), *settings.as_user(), *settings.command])
        script = f"hostname {shlex.quote(settings.hostname)}\n{mounts}\n{start}"
        spaces = ["unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "sh", "-euc", script]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                ["nsenter", f"--net=/run/netns/{namespace}", *spaces], stdout=log, stderr=log, start_new_session=True
            )

    @property
    def exit_status(self) -> int | None:
        """None while it runs; not 0 if a signal has ended it, and which number depends on ``unshare``."""
        return self._process.poll()

    def pid(self) -> int:
        """Its process, as this machine counts. Raises AssertionError if it has none, because it has ended."""
        parent = self._process.pid
        return int(wait_for(Path(f"/proc/{parent}/task/{parent}/children").read_text, 10).split()[0])

    def send(self, number: int) -> None:
        """Send its process a signal, unless it has ended."""
        if self.exit_status is None:
            subprocess.run(["kill", f"-{number}", str(self.pid())], check=False)

    def wait(self, timeout_s: float) -> int | None:
        """Its exit status, or None if it still runs after ``timeout_s``."""
        try:
            return self._process.wait(max(timeout_s, 0.0))
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        """End it at once, with all of its processes.

        They end with the first one of their namespace. The end of ``unshare`` is not enough: its --kill-child does nothing once
        that one has changed its user.
        """
        with suppress(AssertionError, OSError):
            self.send(signal.SIGKILL)
        self._process.kill()
        self._process.wait()

    def run(self, command: list[str], timeout_s: float = 20.0) -> subprocess.CompletedProcess[str]:
        """What a command says that is run inside of it, as by ``kubectl exec`` and exec probes."""
        spaces = ["nsenter", f"--target={self.pid()}", "--mount", "--net", "--pid", "--uts", "--ipc", "--root", "--wd=/"]
        inside = [*spaces, *self._settings.as_user(), *command]
        return subprocess.run(inside, timeout=timeout_s, capture_output=True, text=True, check=False)
