"""Makes upstream's test importable, with the folder, the flags and the modules that its build would give it."""

import importlib
import importlib.util
import os
import sys
import types
import warnings
from pathlib import Path
from typing import Any

from absl import flags

from tests.upstream import program
from tests.waiting import free_port

_TEST = "tensorflow_serving.model_servers.tensorflow_model_server_test"
_BASE = "tensorflow_serving.model_servers.test_util.tensorflow_model_server_test_base"


def load(checkout: Path, folder: Path) -> tuple[Any, Any]:
    """Import upstream's test module and the module of its base class from a checkout.

    ``folder`` is where the program and temporary files go. Raises FileNotFoundError for a checkout without the test.
    """
    package = checkout.resolve() / "tensorflow_serving"
    test = package / "model_servers" / "tensorflow_model_server_test.py"
    if not test.is_file():
        raise FileNotFoundError(f"UPSTREAM_SERVING={checkout}: expected a checkout of tensorflow/serving; it has no {test}")
    os.environ["TEST_SRCDIR"] = str(_source_folder(package, folder))
    _provide_portpicker()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what upstream's code is warned about is upstream's
        importlib.import_module("tensorflow_serving").__path__.append(str(package))
        module, base = importlib.import_module(_TEST), importlib.import_module(_BASE)
    flags.FLAGS(["upstream", f"--test_tmpdir={folder}"])
    for each in (module, base):
        each.GRPC_SOCKET_PATH = str(folder / "serving.sock")  # not one for every test run of this machine
    return module, base


def _source_folder(package: Path, folder: Path) -> Path:
    """The layout of a build: the checkout's data, and our program in the place of upstream's."""
    made = folder / "tf_serving" / "tensorflow_serving"
    (made / "model_servers").mkdir(parents=True)
    (made / "servables").symlink_to(package / "servables")
    program.write(made / "model_servers" / "tensorflow_model_server")
    return folder


def _provide_portpicker() -> None:
    """The one function that upstream uses of a package that we do not need otherwise."""
    if importlib.util.find_spec("portpicker") is None:
        made: Any = types.ModuleType("portpicker")
        made.pick_unused_port = free_port
        sys.modules["portpicker"] = made
