"""The server's own model config file, read for the names, the labels and the folders of the models that it should serve."""

from collections.abc import Mapping
from pathlib import Path

from google.protobuf import text_format

from gateway.backend.stubs import ModelServerConfig
from gateway.telemetry.logs import logger

log = logger("model_config")


class ModelConfigError(Exception):
    """Raised when the file cannot be read or is no ModelServerConfig; the message names the file and the place."""


class ModelConfigFile:
    """The config file, read again when it changes. A broken file is logged once, and what was read before stays.

    A file that the system does not let it read is tried again at every look, and logged when the reason changes.

    ``path`` is a text-format ``tensorflow.serving.ModelServerConfig``; ``labels`` are those of each model, by name, and
    ``folders`` their base paths, as the model server sees them.
    """

    def __init__(self, path: Path) -> None:
        """Raises ModelConfigError."""
        self._path = path
        self._seen = self._fingerprint()
        self._unread = ""  # why the system did not let it read the file
        self.labels, self.folders = _models(path)

    @property
    def names(self) -> tuple[str, ...]:
        """The models in the file, in its order."""
        return tuple(self.labels)

    def refresh(self) -> None:
        """Read the file again if it has changed since the last look, or could not be read then."""
        seen = self._fingerprint()
        if seen == self._seen and not self._unread:
            return
        self._seen = seen
        try:
            self.labels, self.folders = _models(self._path)
        except ModelConfigError as error:
            told, self._unread = self._unread, str(error) if isinstance(error.__cause__, OSError) else ""
            if not self._unread or self._unread != told:
                log.warning("model_config.unreadable", reason=str(error))
            return
        self._unread = ""
        log.info("model_config.read", path=str(self._path), models=self.names)

    def _fingerprint(self) -> tuple[int, int] | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return (stat.st_mtime_ns, stat.st_size)


def _models(path: Path) -> tuple[Mapping[str, tuple[str, ...]], Mapping[str, str]]:
    try:
        config = text_format.Parse(path.read_text(encoding="utf-8"), ModelServerConfig())
    except OSError as error:
        raise ModelConfigError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ModelConfigError(f"{path}: not UTF-8 text: {error}") from error
    except text_format.ParseError as error:
        raise ModelConfigError(f"{path}: no ModelServerConfig in text format: {error}") from error
    entries = config.model_config_list.config
    labels = {entry.name: tuple(sorted(entry.version_labels)) for entry in entries}
    return labels, {entry.name: entry.base_path for entry in entries}
