"""What the stack serves: the models of serving_config/models.config, and every other model in the models folder."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from google.protobuf import text_format

from deploy.errors import ServeError
from gateway.backend.stubs import ModelServerConfig


@dataclass(frozen=True)
class ModelList:
    """The models that are served, and a line for each one that is left out because it has no version."""

    config: ModelServerConfig
    left_out: tuple[str, ...]


def model_list(config_file: Path, models_dir: Path) -> ModelList:
    """Read ``config_file`` with its base paths in ``models_dir``, and add an entry for each other model there.

    Raises ServeError when the file cannot be read.
    """
    config = parsed(config_file)
    models = config.model_config_list.config
    for model in models:
        path = PurePosixPath(model.base_path)
        if path.is_relative_to("/models"):
            model.base_path = str(models_dir / path.relative_to("/models"))
    known = {model.name for model in models}
    for folder in sorted(models_dir.iterdir()):
        if folder.is_dir() and not folder.name.startswith(".") and folder.name not in known:
            models.add(name=folder.name, base_path=str(folder), model_platform="tensorflow")
    without = {model.name: reason for model in models if (reason := _without_version(Path(model.base_path)))}
    served = [model for model in models if model.name not in without]
    del models[:]
    models.extend(served)
    return ModelList(config, tuple(f"{name}: {reason}" for name, reason in without.items()))


def parsed(path: Path) -> ModelServerConfig:
    """The list of models in ``path``. Raises ServeError when it cannot be read."""
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), ModelServerConfig())
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise ServeError(f"{path}: {error}") from error


def numbers_in(folder: Path) -> set[int]:
    """The versions that a model server finds there: folders whose names are numbers. Raises OSError."""
    return {int(child.name) for child in folder.iterdir() if child.name.isdecimal() and child.is_dir()}


def _without_version(folder: Path) -> str | None:
    """Why a model server would find no version there, or None if it finds one."""
    try:
        if numbers_in(folder):
            return None
        names = [child.name for child in folder.iterdir() if child.is_dir()]
    except OSError as error:
        return f"{folder} cannot be read ({error.strerror})"
    if any(name.startswith(".withdrawn-") for name in names):
        return f"every version in {folder} is withdrawn; `python -m model_export restore` puts one back"
    return f"no version in {folder}"
