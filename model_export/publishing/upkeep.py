"""What happens to versions after they are published: prune, rollback, restore. Each step is one rename."""

from collections.abc import Iterator
from pathlib import Path

from model_export.errors import ExportError
from model_export.publishing.publication import delete, locked, rename
from model_export.versions import WITHDRAWN_PREFIX, Version, in_service, newest, withdrawn


def prunable(model_dir: Path, keep: int, include_withdrawn: bool) -> list[Version]:
    """Return what a prune deletes, oldest first: all but the `keep` (at least 1) newest in service; with
    `include_withdrawn` also all that are withdrawn."""
    _require_folder(model_dir)
    older = in_service(model_dir)[:-keep]
    return sorted([*older, *withdrawn(model_dir)] if include_withdrawn else older)


def prune(model_dir: Path, keep: int, include_withdrawn: bool) -> Iterator[Version]:
    """Delete what `prunable` names, and yield each version once it is gone."""
    _require_folder(model_dir)
    with locked(model_dir):
        for version in prunable(model_dir, keep, include_withdrawn):
            delete(version)
            yield version


def rollback(model_dir: Path, force: bool) -> tuple[Version, Version | None]:
    """Take the newest version out of service; return it and the version that is the newest now.

    Raises ExportError for the only version unless forced: a server would be left with nothing to serve.
    """
    _require_folder(model_dir)
    with locked(model_dir):
        latest = newest(model_dir)
        others = in_service(model_dir)[:-1]
        if not others and not force:
            raise ExportError(
                f"version {latest.number} is the only one of {model_dir.name}: servers would unload the model; --force does it"
            )
        aside = model_dir / f"{WITHDRAWN_PREFIX}{latest.path.name}"
        rename(latest.path, aside)
    return Version(latest.number, aside), others[-1] if others else None


def restore(model_dir: Path, number: int | None) -> Version:
    """Put a withdrawn version back under its own name: the one with this number, by default the newest withdrawn."""
    _require_folder(model_dir)
    with locked(model_dir):
        aside = withdrawn(model_dir)
        chosen = aside[-1:] if number is None else [version for version in aside if version.number == number]
        if not chosen:
            names = ", ".join(str(version.number) for version in aside) or "none"
            raise ExportError(f"{model_dir.name} has no such withdrawn version; withdrawn: {names}")
        target = model_dir / chosen[0].path.name.removeprefix(WITHDRAWN_PREFIX)
        rename(chosen[0].path, target)
    return Version(chosen[0].number, target)


def _require_folder(model_dir: Path) -> None:
    if not model_dir.is_dir():
        raise ExportError(f"no model {model_dir.name} in {model_dir.parent}; `list` shows what is there")
