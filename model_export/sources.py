"""What a user may publish: a `.keras` file, a SavedModel directory, or a function that makes a model."""

import importlib
import os
import re
import shutil
import sys
import traceback
import zipfile
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import tensorflow as tf

from model_export import keras_export
from model_export.errors import ExportError, first_line
from model_export.release import Writer
from model_export.saved_model import read_meta_graph
from model_export.versions import in_service

_FORMS = "expected a .keras file, a SavedModel directory (it holds saved_model.pb) or module:function"
_FUNCTION = re.compile(r"(?P<module>[A-Za-z_]\w*(\.[A-Za-z_]\w*)*):(?P<function>[A-Za-z_]\w*)")
# What tf.saved_model.load returns is no tf.Module, but can be saved again.
_MODULES = (tf.Module, tf.__internal__.tracking.AutoTrackable)


def writer_for(source: str) -> Writer:
    """Return what writes this source as a SavedModel into an empty folder.

    Raises ExportError, naming the forms that are taken and what was found, when the source is none of them or is broken.
    """
    path, function = Path(source), _FUNCTION.fullmatch(source)
    if path.is_file() and path.suffix == ".keras":
        model = _load_keras(path)
        return lambda folder: keras_export.save_as_is(model, folder)
    if (path / "saved_model.pb").is_file() or (path / "saved_model.pbtxt").is_file():
        read_meta_graph(path)  # refused here, where the path is still the user's own
        return lambda folder: _copy_tree(path, folder)
    if function and not path.exists():
        made = _call(function["module"], function["function"])
        return lambda folder: _write_made(made, source, folder)
    raise ExportError(f"{source}: {_FORMS}; found {_describe(path)}")


def _describe(path: Path) -> str:
    if path.is_file():
        return f"a file of {path.stat().st_size} bytes that does not end in .keras"
    if not path.is_dir():
        return "nothing there"
    versions = in_service(path)
    if versions:
        return f"a directory of versions: publish one of them, as in {versions[-1].path}"
    names = sorted(child.name for child in path.iterdir())
    return f"a directory with {', '.join(names[:5]) or 'nothing in it'}{', ...' if len(names) > 5 else ''}"


def _load_keras(path: Path) -> Any:
    if not zipfile.is_zipfile(path):  # Keras would say that the file is not found
        raise ExportError(f"{path}: Keras cannot load it: it is damaged or no .keras file, which is a zip archive")
    try:
        return tf.keras.models.load_model(path, compile=False)
    except Exception as error:  # a model file can fail in any way that its layers can
        raise ExportError(f"{path}: Keras cannot load it: {first_line(error)}") from error


def _copy_tree(source: Path, folder: Path) -> None:
    """Copy all files with the permissions of new ones: a server often runs as another user than the exporter."""
    for parent, directories, files in os.walk(source, followlinks=True):
        target = folder / Path(parent).relative_to(source)
        for name in directories:
            (target / name).mkdir()
        for name in files:
            shutil.copyfile(Path(parent, name), target / name)


def _call(module: str, function: str) -> Any:
    """Call the user's function, with what it prints sent to stderr: stdout is for results."""
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        with redirect_stdout(sys.stderr):
            return getattr(importlib.import_module(module), function)()
    except (Exception, SystemExit) as error:  # the user's own code, which can fail in any way
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise ExportError(f"{module}:{function} failed{_place(error)}: {reason}") from error
    finally:
        sys.path.remove(here)


def _place(error: BaseException) -> str:
    """Say where in the user's own files an error arose, if it passed through one."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    here = [frame for frame in frames if Path(frame.filename).is_relative_to(os.getcwd())]
    own = [frame for frame in here if "site-packages" not in frame.filename]
    return f" at {os.path.relpath(own[-1].filename)}:{own[-1].lineno}" if own else ""


def _write_made(made: Any, source: str, folder: Path) -> None:
    if isinstance(made, tf.keras.Model):
        keras_export.save_as_is(made, folder)
        return
    module, signatures = made if isinstance(made, tuple) and len(made) == 2 else (made, _take_signatures(made))
    if not isinstance(module, _MODULES):
        raise ExportError(
            f"{source} returned {type(made).__name__}; expected a Keras model, a tf.Module, or a pair of a tf.Module and"
            " its signatures"
        )
    keras_export.make_loadable(module)
    try:
        tf.saved_model.save(module, str(folder), signatures=signatures)
    except (ValueError, TypeError, AttributeError, AssertionError) as error:
        raise ExportError(f"{source} cannot be saved: {first_line(error)}") from error


def _take_signatures(module: Any) -> Any:
    """Return the signatures that the module carries, if any, and take a dict of them off it: savers reserve that name."""
    signatures = getattr(module, "signatures", None)
    if isinstance(signatures, dict):
        del module.signatures
        return dict(signatures)
    return signatures
