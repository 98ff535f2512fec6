"""The file system of a container: this machine's, read-only, with a layer on it and the Pod's volumes in it."""

import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tests.kubernetes.kubelet.images import ROOT, Image
from tests.kubernetes.kubelet.manifests import Volume

VENV = "/opt/venv"

# What the Dockerfile's stage model_server writes by a RUN instead of copying it.
_WRITTEN = {"/usr/bin/tensorflow_model_server": '#!/bin/sh\nexec python -m model_server "$@"\n'}


@dataclass
class Root:
    """Collects what is in a root, and makes the shell commands that mount it.

    ``layer`` and ``root`` are empty folders. The commands are for a mount namespace of their own: nothing is left behind.
    """

    layer: Path
    root: Path
    _laid: list[list[object]] = field(default_factory=list)
    _mounted: list[list[object]] = field(default_factory=list)

    def write(self, path: str, text: str) -> None:
        """A file, which may be run."""
        target = f"{self.layer}{path}"
        self._laid.append(["mkdir", "-p", PurePosixPath(target).parent])
        self._laid.append(["sh", "-c", 'printf %s "$1" > "$2"; chmod 755 "$2"', "sh", text, target])

    def copy(self, source: Path, path: str) -> None:
        """A file of this machine, which may be run, or a folder of it."""
        if source.is_dir():
            self.bind(source, path, is_read_only=True)
        else:
            self._laid.append(["install", "-D", "-m", "755", source, f"{self.layer}{path}"])

    def bind(self, folder: Path, path: str, *, is_read_only: bool) -> None:
        """A folder of this machine, whoever may enter the folders above it."""
        self._mount(path, ["mount", "--bind", folder])
        if is_read_only:
            self._mounted.append(["mount", "-o", "remount,ro,bind", f"{self.root}{path}"])

    def memory(self, path: str, size: str) -> None:
        """An empty file system in memory."""
        self._mount(path, ["mount", "-t", "tmpfs", "-o", f"mode=0777,size={size}", "memory"])

    def _mount(self, path: str, command: list[object]) -> None:
        self._laid.append(["mkdir", "-p", f"{self.layer}{path}"])
        self._mounted.append([*command, f"{self.root}{path}"])

    def commands(self) -> str:
        """A shell script. The layer is a file system of its own, because the one below it may not contain it."""
        begin = [["umask", "022"], ["mount", "-t", "tmpfs", "layer", self.layer]]
        union = [
            ["mount", "-t", "overlay", "image", "-o", f"lowerdir={self.layer}:/", self.root],
            ["mount", "--rbind", "/dev", f"{self.root}/dev"],
            ["mount", "-t", "proc", "proc", f"{self.root}/proc"],
        ]
        return "\n".join(shlex.join(map(str, line)) for line in [*begin, *self._laid, *union, *self._mounted])


def root_of(image: Image, volumes: dict[str, tuple[Volume, bool]], files: dict[str, str], layer: Path, root: Path) -> Root:
    """The root of a container: ``volumes`` are path -> volume and whether it is read-only, ``files`` path -> text."""
    made = Root(layer, root)
    for source, path in image.copied:
        made.copy(ROOT / source, path)
    for path, text in (_WRITTEN | files).items():
        made.write(path, text)
    made.bind(Path(sys.prefix), VENV, is_read_only=True)
    made.bind(Path(sys.base_prefix), sys.base_prefix, is_read_only=True)  # what the virtual environment was made with
    for path, (volume, is_read_only) in volumes.items():
        if volume.folder is None:
            made.memory(path, volume.size)
        else:
            made.bind(volume.folder, path, is_read_only=is_read_only)
    return made
