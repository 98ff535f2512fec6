"""What a user may publish: a `.keras` file, a SavedModel directory, or a function that makes a model."""

import os
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import tensorflow as tf

from model_export.diagnosis.causes import cause
from model_export.diagnosis.file_kinds import kind_of_keras_file
from model_export.diagnosis.keras_file import python_code_in
from model_export.diagnosis.paths import what_is
from model_export.errors import ExportError
from model_export.publishing.release import Writer
from model_export.saved_model import read_meta_graph
from model_export.sources import function_source, keras_export

_FORMS = "expected a .keras file, a SavedModel directory (it holds saved_model.pb) or module:function"
_FUNCTION = re.compile(r"(?P<module>[A-Za-z_]\w*(\.[A-Za-z_]\w*)*)(?<!\.py):(?P<function>[A-Za-z_]\w*)")


def writer_for(source: str) -> Writer:
    """Return what writes this source as a SavedModel into an empty folder.

    Raises ExportError, naming the forms that are taken and what was found, when the source is none of them or is broken.
    """
    try:
        writer = _writer(source)
    except OSError as error:
        raise ExportError(f"{_shown(source)}: {error.strerror or error}") from error
    if writer is None:
        raise ExportError(f"{_shown(source)}: {_FORMS}; found {what_is(source)}")
    return writer


def _writer(source: str) -> Writer | None:
    path, function = Path(source), _FUNCTION.fullmatch(source)
    if not source:
        return None
    if path.is_file() and path.suffix == ".keras":
        model = _load_keras(path)
        return lambda folder: keras_export.save_as_is(model, folder)
    if (path / "saved_model.pb").is_file() or (path / "saved_model.pbtxt").is_file():
        read_meta_graph(path)  # refused here, where the path is still the user's own
        _require_directories(path)
        return lambda folder: _copy_tree(path, folder)
    if function and not path.exists():
        made = function_source.call(function["module"], function["function"])
        return lambda folder: function_source.write(made, source, folder)
    return None


def _require_directories(path: Path) -> None:
    """Raise ExportError where a file has the name of a directory that the loader reads or a publication adds to."""
    for name in ("assets.extra", "variables", "assets"):
        if (path / name).exists() and not (path / name).is_dir():
            raise ExportError(f"{path / name}: expected a directory, as in every SavedModel, found a file: move it away")


def _shown(source: str) -> str:
    """Return the source on one line, shortened in its middle where it is very long."""
    line = source if source and source.isprintable() else repr(source)
    return line if len(line) <= 300 else f"{line[:140]} ... {line[-140:]}"


def _load_keras(path: Path) -> Any:
    if not zipfile.is_zipfile(path):  # Keras would say that the file is not found
        raise ExportError(f"{path}: Keras cannot load it: {kind_of_keras_file(path)}")
    try:
        return tf.keras.models.load_model(path, compile=False)
    except Exception as error:  # a model file can fail in any way that its layers can
        raise ExportError(f"{path}: Keras cannot load it: {_why(path, error)}") from error


def _why(path: Path, error: Exception) -> str:
    layers = python_code_in(path)
    if layers:
        names = ", ".join(layers)
        return (
            f"the layer{'s' if len(layers) > 1 else ''} {names} (Lambda) hold{'' if len(layers) > 1 else 's'} Python code,"
            " which Keras does not load from files; publish module:function that returns the model"
        )
    return cause(error)


def _copy_tree(source: Path, folder: Path) -> None:
    """Copy all files with the permissions of new ones: a server often runs as another user than the exporter."""
    for parent, directories, files in os.walk(source, followlinks=True):
        target = folder / Path(parent).relative_to(source)
        for name in directories:
            (target / name).mkdir()
        for name in files:
            shutil.copyfile(Path(parent, name), target / name)
