"""A signal that arrives inside a finalizer or a callback of C code is remembered, and prints nothing."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

IN_A_FINALIZER = """
import os, signal
from model_export import termination

class Finalized:
    def __del__(self):
        os.kill(os.getpid(), signal.{name})
        for _ in range(1000):
            pass

termination.watch()
Finalized()
try:
    termination.check()
except KeyboardInterrupt:
    print("KeyboardInterrupt")
except SystemExit as error:
    print("SystemExit", error.code)
"""

IN_A_CALLBACK = """
import os, signal, sys
from model_export import termination

termination.watch()
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    # As C code prints an exception that it cannot pass on (PyErr_Print).
    sys.excepthook(*sys.exc_info())
"""

IN_C_CODE_THAT_RAISES_ITS_OWN = """
import os, signal, sys
from model_export import termination

termination.watch()
try:
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt as interrupt:
        raise SystemError("returned a result with an exception set") from interrupt
except SystemError:
    sys.excepthook(*sys.exc_info())
"""

OTHERS = """
from model_export import termination

class Finalized:
    def __del__(self):
        raise ValueError("of a test")

termination.watch()
Finalized()
raise OSError("of a test too")
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("name", "told"), [("SIGINT", "KeyboardInterrupt\n"), ("SIGTERM", "SystemExit 143\n")])
def test_a_signal_in_a_finalizer_is_remembered_and_prints_nothing(name, told):
    assert signal.Signals[name]
    finished = run(IN_A_FINALIZER.format(name=name))
    assert (finished.stdout, finished.stderr) == (told, "")


@pytest.mark.parametrize("program", [IN_A_CALLBACK, IN_C_CODE_THAT_RAISES_ITS_OWN], ids=["as it is", "as another's cause"])
def test_a_signal_in_a_callback_of_c_code_prints_nothing(program):
    assert run(program).stderr == ""


def test_other_exceptions_are_printed_as_ever():
    finished = run(OTHERS)
    assert "ValueError: of a test" in finished.stderr
    assert "OSError: of a test too" in finished.stderr
