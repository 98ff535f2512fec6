"""The one model of a container, in the folder that a platform has filled -> what a model server serves.

The layouts: versions (``FOLDER/1/saved_model.pb``, as tensorflow/serving wants it) and flat (``FOLDER/saved_model.pb``, which
is version 1); a folder that has both is refused. The model may also lie in folders below, such as SageMaker's
``export/Servo/1``, as long as there is only one. Nothing is written into the folder.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.errors import ServeError
from deploy.model_list import numbers_in

_FILE: Final = "saved_model.pb"
_DEEPEST: Final = 3  # levels of folders above a model's own
_SHOWN: Final = 10  # names in a message


@dataclass(frozen=True)
class SingleModel:
    """A model's name, and the folder whose folders are its versions."""

    name: str
    base_path: Path


def single_model(name: str, folder: Path, asked_by: str, work_dir: Path) -> SingleModel:
    """The model in ``folder``, which ``asked_by`` names in messages; a flat one gets a link as its version 1 in ``work_dir``.

    Raises ServeError when there is no model, or more than one.
    """
    try:
        _check_folder(folder, asked_by)
        names = sorted(child.name for child in folder.iterdir())
        found = list(_models(folder, _DEEPEST))
        both = [model for model in found if _is_flat(model) and _versions_with_model(model)]
    except OSError as error:
        what = "the folder" if error.filename in (None, str(folder)) else error.filename
        raise ServeError(f"{asked_by}: {what} cannot be read ({error.strerror}): let user {os.geteuid()} read it") from error
    if not found:
        raise ServeError(
            f"{asked_by}: expected {_FILE} in {folder}, or in folders like {folder}/1, found {_listed(names)}"
            + _keras_hint(name, folder, names)
        )
    if both:
        versions = _listed(str(version) for version in _versions_with_model(both[0]))
        raise ServeError(
            f"{asked_by}: expected {_FILE} in {both[0]}, or folders of versions, found both: {_FILE} and version {versions}: "
            "take one of the two away"
        )
    if len(found) > 1:
        models = _listed(str(model.relative_to(folder)) for model in found)
        raise ServeError(f"{asked_by}: expected one model in {folder}, found {models}: set AUTO_MODEL to the folder of one")
    (model,) = found
    return SingleModel(name, model if not _is_flat(model) else _with_version(model, work_dir / name))


def _models(folder: Path, deepest: int) -> Iterator[Path]:
    """The folders of models in ``folder``, which may be one itself."""
    if _is_flat(folder) or numbers_in(folder):
        yield folder
        return
    for child in sorted(folder.iterdir()) if deepest else ():
        if child.is_dir() and not child.name.startswith("."):
            yield from _models(child, deepest - 1)


def _check_folder(folder: Path, asked_by: str) -> None:
    """Raise ServeError when it is no folder, and OSError when nobody can tell."""
    try:
        mode = folder.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ServeError(
            f"{asked_by}: there is no such folder: mount or copy a model there, or set AUTO_MODEL to its folder"
        ) from error
    if not stat.S_ISDIR(mode):
        raise ServeError(f"{asked_by}: expected a folder, found a file: set AUTO_MODEL to the folder that has {_FILE}")


def _versions_with_model(folder: Path) -> list[int]:
    return sorted(number for number in numbers_in(folder) if _is_flat(folder / str(number)))


def _keras_hint(name: str, folder: Path, names: list[str]) -> str:
    """What makes a version of a Keras file; empty where there is none."""
    file = next((file for file in names if file.endswith(".keras")), None)
    if file is None:
        return ""
    return f"; `python -m model_export publish {folder / file} --name {name}` makes a SavedModel of {file}"


def _is_flat(folder: Path) -> bool:
    return (folder / _FILE).is_file()


def _with_version(model: Path, base_path: Path) -> Path:
    base_path.mkdir(parents=True)
    (base_path / "1").symlink_to(model.resolve(), target_is_directory=True)
    return base_path


def _listed(names: Iterator[str] | list[str]) -> str:
    shown = list(names)
    return (", ".join(shown[:_SHOWN]) + (", ..." if len(shown) > _SHOWN else "")) or "nothing"
