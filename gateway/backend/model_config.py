"""The server's own model config file, read for the names of the models that it should serve, and for their labels."""

from collections.abc import Mapping
from pathlib import Path

from google.protobuf import text_format

from gateway.backend.stubs import ModelServerConfig
from gateway.telemetry.logs import logger

log = logger("model_config")


class ModelConfigError(Exception):
    """Raised when the file cannot be read or is no ModelServerConfig; the message names the file and the place."""


def model_names(path: Path) -> tuple[str, ...]:
    """The names in ``path``, a text-format ``tensorflow.serving.ModelServerConfig``, in the file's order.

    Raises:
        ModelConfigError: the file cannot be read or parsed.
    """
    return tuple(_read(path))


def _read(path: Path) -> dict[str, tuple[str, ...]]:
    """The labels of each model, by the models' names. Raises as ``model_names``."""
    try:
        config = text_format.Parse(path.read_text(encoding="utf-8"), ModelServerConfig())
    except OSError as error:
        raise ModelConfigError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ModelConfigError(f"{path}: not UTF-8 text: {error}") from error
    except text_format.ParseError as error:
        raise ModelConfigError(f"{path}: no ModelServerConfig in text format: {error}") from error
    return {entry.name: tuple(sorted(entry.version_labels)) for entry in config.model_config_list.config}


class ModelConfigFile:
    """The config file as it is over time: a change is taken up; a broken file is logged once, and the last good names stay."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self.labels: Mapping[str, tuple[str, ...]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The models in the file, in its order."""
        return tuple(self.labels)

    def load(self) -> None:
        """Read the file for the first time. Raises ModelConfigError as ``model_names``."""
        self.labels = _read(self._path)
        self._seen = self._fingerprint()

    def refresh(self) -> None:
        """Read the file again if it has changed since the last look."""
        seen = self._fingerprint()
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self.labels = _read(self._path)
        except ModelConfigError as error:
            log.warning("model_config.unreadable", reason=str(error))
            return
        log.info("model_config.read", path=str(self._path), models=self.names)

    def _fingerprint(self) -> tuple[int, int] | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return (stat.st_mtime_ns, stat.st_size)
