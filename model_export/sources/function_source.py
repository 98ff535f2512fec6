"""`module:function` as a source: calls the user's function and saves the model that it returns."""

import importlib
import inspect
import os
import sys
import traceback
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import tensorflow as tf

from model_export.diagnosis.causes import cause
from model_export.errors import ExportError
from model_export.sources import keras_export

# What tf.saved_model.load returns is no tf.Module, but can be saved again.
_MODULES = (tf.Module, tf.__internal__.tracking.AutoTrackable)
_EXPECTED = "expected a Keras model, a tf.Module, or a pair of a tf.Module and its signatures"


def call(module: str, function: str) -> Any:
    """Return what the function in this module returns. It is looked for in the current directory too, and takes no arguments.

    What it prints goes to stderr: stdout is for results. Raises ExportError for whatever goes wrong in it.
    """
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        with redirect_stdout(sys.stderr):
            made = _without_arguments(getattr(importlib.import_module(module), function), f"{module}:{function}")()
    except ExportError:
        raise
    except (Exception, SystemExit) as error:  # the user's own code, which can fail in any way
        reason = f"{type(error).__name__}: {cause(error)}{_advice(error, module)}"
        raise ExportError(f"{module}:{function} failed{_place(error)}: {reason}") from error
    finally:
        if here in sys.path:
            sys.path.remove(here)
    return made


def write(made: Any, source: str, folder: Path) -> None:
    """Save what a function returned as a SavedModel into an empty folder. Raises ExportError, naming the source."""
    if isinstance(made, tf.keras.Model):
        keras_export.save_as_is(made, folder)
        return
    module, signatures = made if isinstance(made, tuple) and len(made) == 2 else (made, _take_signatures(made))
    if not isinstance(module, _MODULES):
        raise ExportError(f"{source} returned {_described(made)}; {_EXPECTED}")
    keras_export.make_loadable(module)
    try:
        tf.saved_model.save(module, str(folder), signatures=signatures)
    except (OSError, tf.errors.OpError):
        raise
    except Exception as error:  # tracing runs the user's own code
        raise ExportError(f"{source} cannot be saved: {cause(error)}") from error


def _without_arguments(function: Any, source: str) -> Any:
    """Return the function if it may be called without arguments."""
    if not callable(function):
        raise ExportError(f"{source} is {_described(function)} and no function")
    try:
        inspect.signature(function).bind()
    except TypeError as error:
        raise ExportError(
            f"{source} takes arguments, but is called without any ({error}); give them defaults or write a function around it"
        ) from error
    except ValueError:  # some built-in functions tell nothing
        return function
    return function


def _advice(error: BaseException, module: str) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name and f"{module}.".startswith(f"{error.name}."):
        return "; run this in the folder that holds it, or name that folder in PYTHONPATH"
    return ""


def _place(error: BaseException) -> str:
    """Say where in the user's own files an error arose, if it passed through one."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    here = [frame for frame in frames if Path(frame.filename).is_relative_to(os.getcwd())]
    own = [frame for frame in here if "site-packages" not in frame.filename]
    return f" at {os.path.relpath(own[-1].filename)}:{own[-1].lineno}" if own else ""


def _described(made: Any) -> str:
    if inspect.isclass(made):
        return f"the class {made.__name__} itself, not an object of it"
    if isinstance(made, tuple):
        return f"a tuple of {', '.join(type(element).__name__ for element in made) or 'nothing'}"
    return "None" if made is None else type(made).__name__


def _take_signatures(module: Any) -> Any:
    """Return the signatures that the module carries, if any, and take a dict of them off it: savers reserve that name."""
    signatures = getattr(module, "signatures", None)
    if isinstance(signatures, dict):
        del module.signatures
        return dict(signatures)
    return signatures
