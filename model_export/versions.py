"""The versions of one model, as directory names in `<models>/<name>/` tell them.

A server takes every child whose whole name reads as an int64, so only finished versions ever carry such a name. A version
taken out of service is kept beside the others as `.withdrawn-<its name>`. Reads names only and never needs TensorFlow.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from model_export.errors import ExportError

LARGEST_NUMBER = 2**63 - 1
WITHDRAWN_PREFIX = ".withdrawn-"

# absl's SimpleAtoi, which TensorFlow Serving's file_system_storage_path_source.cc reads names with.
_NUMBER = re.compile(r"[ \t\n\v\f\r]*[+-]?[0-9]+[ \t\n\v\f\r]*")
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")


@dataclass(frozen=True, order=True)
class Version:
    """One version of a model: its number, and the directory that holds it."""

    number: int
    path: Path

    @property
    def withdrawn(self) -> bool:
        """Whether the version is kept aside, out of a server's sight."""
        return self.path.name.startswith(WITHDRAWN_PREFIX)

    @property
    def size_bytes(self) -> int:
        """The size of all its files. Files that vanish during the count are left out."""
        return sum(_sizes(self.path))

    @property
    def modified_s(self) -> float:
        """When the directory last changed, in seconds since the epoch; 0 if it is gone by now."""
        try:
            return self.path.stat().st_mtime
        except FileNotFoundError:
            return 0.0


def parse_number(name: str) -> int | None:
    """Return the version number that a server reads in this directory name, or None for a name that it ignores."""
    if not _NUMBER.fullmatch(name):
        return None
    number = int(name)
    return number if -LARGEST_NUMBER - 1 <= number <= LARGEST_NUMBER else None


def check_model_name(name: str) -> str:
    """Return the name when it can stand in a URL and be a folder; raise ExportError otherwise."""
    if not _MODEL_NAME.fullmatch(name):
        raise ExportError(
            f"{name!r} cannot name a model: it is part of a URL, so use letters, digits, '_', '.' and '-',"
            " and start with a letter or digit"
        )
    return name


def in_service(model_dir: Path) -> list[Version]:
    """Return the versions that a server sees, lowest number first; none when the folder does not exist."""
    numbered = ((parse_number(child.name), child) for child in _children(model_dir))
    return sorted(Version(number, child) for number, child in numbered if number is not None)


def withdrawn(model_dir: Path) -> list[Version]:
    """Return the versions kept aside by a rollback, lowest number first."""
    aside = (child for child in _children(model_dir) if child.name.startswith(WITHDRAWN_PREFIX))
    numbered = ((parse_number(child.name.removeprefix(WITHDRAWN_PREFIX)), child) for child in aside)
    return sorted(Version(number, child) for number, child in numbered if number is not None)


def everything(model_dir: Path) -> list[Version]:
    """Return all versions, in service and withdrawn, highest number first."""
    return sorted([*in_service(model_dir), *withdrawn(model_dir)], reverse=True)


def model_names(models_dir: Path) -> list[str]:
    """Return the models that have at least one version, withdrawn ones included, by name."""
    folders = (child for child in _children(models_dir) if _MODEL_NAME.fullmatch(child.name) and child.is_dir())
    return sorted(folder.name for folder in folders if everything(folder))


def newest(model_dir: Path) -> Version:
    """Return the version that a server takes by default; raise ExportError when there is none."""
    found = in_service(model_dir)
    if not found:
        raise ExportError(f"{model_dir.name} has no version in service in {model_dir.parent}")
    return found[-1]


def find(model_dir: Path, number: str) -> Version:
    """Return the version with this number, withdrawn or not; raise ExportError, naming those there are, for any other."""
    known = {str(version.number): version for version in everything(model_dir)}
    if number not in known:
        raise ExportError(f"{model_dir.name} has no version {number}; there are: {', '.join(known) or 'none'}")
    return known[number]


def _children(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _sizes(path: Path) -> Iterator[int]:
    for child in path.rglob("*") if path.is_dir() else (path,):
        try:
            yield child.stat().st_size if child.is_file() else 0
        except FileNotFoundError:
            continue
