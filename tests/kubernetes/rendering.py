"""What `kubectl kustomize` makes of deploy/kubernetes: every overlay, and every component on what it is for."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / "deploy" / "kubernetes"
KUBECTL = Path(sys.executable).parent / "kubectl"

OVERLAYS = tuple(sorted(path.name for path in (FOLDER / "overlays").iterdir()))
COMPONENTS = tuple(sorted(path.name for path in (FOLDER / "components").iterdir()))
_NOT_FOR_SINGLE = {"serving-tls", "least-loaded"}  # there no call leaves the Pod

# Name of a rendering -> the folder, and the components on it.
RENDERINGS: dict[str, tuple[str, tuple[str, ...]]] = {
    "base": ("base", ()),
    **{name: (f"overlays/{name}", ()) for name in OVERLAYS},
    **{f"base+{name}": ("base", (name,)) for name in COMPONENTS},
    **{f"single+{name}": ("overlays/single", (name,)) for name in COMPONENTS if name not in _NOT_FOR_SINGLE},
    "base+many": ("base", ("prometheus-operator", "keys", "redis", "tls", "serving-tls", "least-loaded", "models-init")),
    "base+tls-first": ("base", ("tls", "prometheus-operator")),
    "tls+monitors": ("overlays/tls", ("prometheus-operator",)),
    "single+tls-first": ("overlays/single", ("tls", "prometheus-operator")),
    "keda+tls": ("overlays/keda", ("tls",)),
    "single+many": ("overlays/single", ("prometheus-operator", "keys", "redis", "tls", "models-init")),
}

# Folder, and components that do not go with it: kustomize refuses them, and README says so.
REFUSED = (
    *(
        (f"overlays/{overlay}", (component,))
        for overlay in ("hpa", "keda")
        for component in ("autoscaled", "prometheus-operator")
    ),
    ("overlays/redis", ("redis",)),
    ("overlays/tls", ("serving-tls",)),
    ("overlays/single", ("serving-tls",)),
    ("base", ("models-image", "models-init")),
    ("base", ("models-init", "models-image")),
)


@dataclass(frozen=True)
class Workload:
    """A Deployment or StatefulSet of a rendering."""

    rendering: str
    document: dict[str, Any]

    @property
    def name(self) -> str:
        """Its name."""
        return self.document["metadata"]["name"]

    @property
    def pod(self) -> dict[str, Any]:
        """The ``spec`` of its Pods."""
        return self.document["spec"]["template"]["spec"]

    @property
    def pod_labels(self) -> dict[str, str]:
        """The labels of its Pods."""
        return self.document["spec"]["template"]["metadata"]["labels"]

    @property
    def lasting(self) -> list[dict[str, Any]]:
        """The containers that run as long as the Pod does: sidecars too."""
        sidecars = [container for container in self.pod.get("initContainers", []) if container.get("restartPolicy") == "Always"]
        return sidecars + self.pod["containers"]

    @property
    def all_containers(self) -> list[dict[str, Any]]:
        """Every container, those that only prepare included."""
        return self.pod.get("initContainers", []) + self.pod["containers"]

    def container(self, name: str) -> dict[str, Any] | None:
        """The lasting container of this name, if there is one."""
        return next((container for container in self.lasting if container["name"] == name), None)

    def selected_by(self, labels: dict[str, str]) -> bool:
        """Whether a selector with these labels, of which there is at least one, finds its Pods."""
        return bool(labels) and labels.items() <= self.pod_labels.items()


@cache
def rendering(name: str) -> tuple[dict[str, Any], ...]:
    """The documents of the rendering ``name``. Raises AssertionError with kustomize's words when there are none."""
    folder, components = RENDERINGS[name]
    if not components:
        return tuple(render(FOLDER / folder))
    with combined(folder, components) as made:
        return tuple(render(made))


@contextmanager
def combined(folder: str, components: Iterable[str]) -> Iterator[Path]:
    """A kustomization of ``folder`` with ``components``."""
    with tempfile.TemporaryDirectory() as made:
        paths = {
            "resources": [os.path.relpath(FOLDER / folder, made)],
            "components": [os.path.relpath(FOLDER / "components" / component, made) for component in components],
        }
        Path(made, "kustomization.yaml").write_text(yaml.safe_dump(paths))
        yield Path(made)


def render(folder: Path) -> list[dict[str, Any]]:
    """The documents that kustomize makes of ``folder``."""
    done = subprocess.run([KUBECTL, "kustomize", folder], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr  # it says there what is deprecated
    return list(yaml.safe_load_all(done.stdout))


def of_kind(name: str, *kinds: str) -> list[dict[str, Any]]:
    """The documents of these kinds in the rendering ``name``."""
    return [document for document in rendering(name) if document["kind"] in kinds]


def workloads(name: str) -> list[Workload]:
    """The workloads of the rendering ``name``."""
    return [Workload(name, document) for document in of_kind(name, "Deployment", "StatefulSet")]


def containers(name: str) -> Iterator[tuple[Workload, dict[str, Any]]]:
    """Every lasting container of the rendering ``name``, with its workload."""
    for workload in workloads(name):
        for container in workload.lasting:
            yield workload, container


def environment(container: dict[str, Any]) -> dict[str, str | None]:
    """The variables of ``container``; None for a value that is in a Secret."""
    return {entry["name"]: entry.get("value") for entry in container.get("env", [])}
