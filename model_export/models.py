"""The example models, by name. Listing them needs no TensorFlow; building one does."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import cast

from model_export.errors import ExportError

# name -> what it shows; each is a module of `model_export.examples` with a function `write(folder, report)`.
EXAMPLES = {
    "half_plus_two": "TensorFlow Serving's own example: 0.5x + 2, with predict, classify and regress signatures",
    "dense": "10 floats -> one float near their sum, from a trained network with a hidden layer of 32",
    "digits": "handwritten digits, as 8x8 arrays or PNG bytes -> ten probabilities and a label",
    "basket": "four inputs and four outputs of different types, text and raw bytes among them",
}


def writer(name: str, report: Callable[[str], None]) -> Callable[[Path], None]:
    """Return what trains the example, if it has to be trained, and writes it as a SavedModel into an empty folder.

    Raises ExportError for a name that is not in EXAMPLES.
    """
    if name not in EXAMPLES:
        raise ExportError(f"no example is called {name!r}; there are {', '.join(EXAMPLES)}")
    write = cast("Callable[[Path, Callable[[str], None]], None]", import_module(f"model_export.examples.{name}").write)
    return lambda folder: write(folder, report)
