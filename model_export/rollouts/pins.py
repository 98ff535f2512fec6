"""Which versions of a model the servers' model config file names: a rollout names two, and after it one stays named."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from model_export.model_config import config_of
from model_export.models_dir import is_served_here

# The list that `make serve` writes, beside the folder `models`, or inside of another one.
_RUN_FILE: Final = Path(".run", "models.config")


@dataclass(frozen=True)
class Pin:
    """The versions, lowest first, that the servers serve of ``model`` by ``config_file``, whatever else is there."""

    model: str
    versions: tuple[int, ...]
    config_file: Path

    @property
    def text(self) -> str:
        """What the file says, as the beginning of a message."""
        named = " and ".join(map(str, self.versions))
        return f"{self.config_file} pins version{'s' if len(self.versions) > 1 else ''} {named} of {self.model}"


def pin_of(model: str, models_dir: Path, config_file: Path | None) -> Pin | None:
    """Return what pins the model: in ``config_file``, or in what `make serve` serves ``models_dir`` by. None: nothing does.

    Raises ExportError when such a file cannot be read.
    """
    files = [config_file] if config_file else []
    files += [path for path in _run_files(models_dir) if path.is_file()]
    return next((pin for path in files if (pin := _pin(model, path))), None)


def _run_files(models_dir: Path) -> list[Path]:
    return [models_dir / _RUN_FILE, *([_RUN_FILE] if is_served_here(models_dir) else [])]


def _pin(model: str, path: Path) -> Pin | None:
    for entry in config_of(path).model_config_list.config:
        if entry.name == model and entry.model_version_policy.specific.versions:
            return Pin(model, tuple(sorted(set(entry.model_version_policy.specific.versions))), path)
    return None
