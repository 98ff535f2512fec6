"""The models' folder and `models.config` are changed under the model server."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.fault import fault
from tests.faults.machine import state_of
from tests.faults.scene import MODEL, Scene, plain
from tests.stack.checking_client import adding
from tests.waiting import wait_for

_TWO_VERSIONS = "model_version_policy { latest { num_versions: 2 } }"


@fault("27a", "The models' folder is emptied", plain, remark="what is loaded is served on")
def emptied(scene: Scene) -> Iterator[None]:
    base, aside = scene.server.base, scene.server.base.parent / "aside"
    aside.mkdir()
    with _says(scene, "base_path.empty"):
        for version in list(base.iterdir()):
            version.rename(aside / version.name)
    yield
    with _says(scene, "base_path.ready"):
        for version in list(aside.iterdir()):
            version.rename(base / version.name)
    aside.rmdir()


@fault("27b", "The models' folder is unmounted", plain, is_for_root=True, remark="what is loaded is served on")
def unmounted(scene: Scene) -> Iterator[None]:
    """As after unmounting there is an empty folder in its place: another one is mounted over it."""
    try:
        with _says(scene, "base_path.missing"):
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", scene.server.base.parent], check=True)
        yield
    finally:
        with _says(scene, "base_path.ready"):
            subprocess.run(["umount", scene.server.base.parent], check=True)


@fault("27c", "The models' folder is away", plain, remark="what is loaded is served on")
def away(scene: Scene) -> Iterator[None]:
    models = scene.server.base.parent
    with _says(scene, "base_path.missing"):
        models.rename(models.with_name("away"))
    yield
    with _says(scene, "base_path.ready"):
        models.with_name("away").rename(models)


@contextmanager
def _says(scene: Scene, event: str) -> Iterator[None]:
    """What is done inside makes the model server log ``event``."""
    before = scene.server.log().count(event)
    yield
    wait_for(lambda: scene.server.log().count(event) > before, 20)


def _have_it_looked_at(scene: Scene) -> None:
    """Wait until the model server has looked at the folder, which it does before it says that it has another configuration."""
    stack = scene.server.stack
    with _says(scene, "config.reloaded"):
        stack.write_config((MODEL,), "" if _TWO_VERSIONS in stack.config.read_text() else _TWO_VERSIONS)


@fault(
    "28",
    "A version is replaced under its own number",
    plain,
    is_right=adding({"1": (2.0, 3.0)}),
    remark="the old content is served until the server loads the version anew",
)
def replaced(scene: Scene) -> Iterator[None]:
    base = scene.server.base
    shutil.copytree(base / "1", scene.folder / "old")
    _replace(scene.server.other, base)
    _have_it_looked_at(scene)
    yield
    _replace(scene.folder / "old", base)
    _have_it_looked_at(scene)


def _replace(content: Path, base: Path) -> None:
    shutil.rmtree(base / "1")
    shutil.copytree(content, base / "1")


@fault("29", "A half-copied version is dropped in, then the rest", plain, is_right=adding({"1": (2.0,), "2": (3.0,)}))
def half_copied(scene: Scene) -> Iterator[None]:
    base, whole = scene.server.base, (scene.server.other / "saved_model.pb").read_bytes()
    version = base / "2"
    version.mkdir()
    (version / "saved_model.pb").write_bytes(whole[: len(whole) // 2])
    wait_for(lambda: state_of(scene, "2") == "END", 30)
    yield
    # A version that failed is tried again when its folder was away.
    shutil.rmtree(version)
    _have_it_looked_at(scene)
    shutil.copytree(scene.server.other, base / "incoming")
    (base / "incoming").rename(version)
    wait_for(lambda: state_of(scene, "2") == "AVAILABLE", 30)
    shutil.rmtree(version)
    _have_it_looked_at(scene)
    wait_for(lambda: _served(scene) == "1", 30)


def _served(scene: Scene) -> str:
    """The version that the model server answers with, when no worker knows another one any more."""
    if state_of(scene, "2") == "AVAILABLE":
        return "2"
    answers = [scene.stack.post(f"/v1/models/{MODEL}:predict", {"instances": [1.0]}) for _ in range(20)]
    return "1" if {answer.headers["X-Model-Version"] for answer in answers} == {"1"} else "2"


@fault("30", "`models.config` is broken, then mended", plain, remark="the server keeps what it had, and logs why")
def config_broken(scene: Scene) -> Iterator[None]:
    config = scene.server.stack.config
    right = config.read_text()
    with _says(scene, "config.refused"):
        config.write_text(right[: len(right) // 2] + "}}} nonsense")
    yield
    config.write_text(right)
    _have_it_looked_at(scene)
    _have_it_looked_at(scene)
    assert config.read_text() == right
    assert scene.stack.get(f"/v1/models/{MODEL}").status_code == 200
