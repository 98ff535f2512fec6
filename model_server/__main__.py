"""``python -m model_server``: tensorflow_model_server's command line.

Exit status: 0 after a signal, --help or --version; 255 if a flag, a file or a port cannot be used.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from importlib import metadata
from typing import NoReturn

import structlog

from model_server import flags, logs
from model_server.flags import CommandLine, Flags
from model_server.plan import make_plan
from model_server.status import ServingError, failed_precondition

log = structlog.get_logger()

FAILURE = 255
# How long a signal that the system gave to another thread may go unseen by the main thread, which runs the handlers.
_WAKE_S = 0.5


def main(arguments: list[str]) -> int:
    """Serve until a signal comes; returns the exit status."""
    try:
        command_line = flags.parse(arguments)
    except flags.FlagError as error:
        print(error, file=sys.stderr)
        print(flags.usage("model_server"))
        return FAILURE
    if command_line.help_wanted:
        print(flags.usage("model_server"))
        return 0
    if command_line.flags.version:
        print(_version())
        return 0
    logs.configure()
    _report_unused(command_line)
    try:
        return _serve(command_line.flags)
    except ServingError as error:
        print(f"Failed to start server. Error: {_one_line(str(error))}", file=sys.stderr)
        return FAILURE


def _serve(options: Flags) -> int:
    plan = make_plan(options)
    signals = Signals()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start-up notes; 0 shows them
    try:
        from model_server.server import Server  # noqa: PLC0415 - imports TensorFlow, which takes seconds
    except ModuleNotFoundError as error:
        raise failed_precondition(f"{error.name} is not installed; try: pip install '.[tensorflow]'") from error
    server = Server(plan)
    signals.call(server.abandon)
    server.start()
    signals.wait()
    server.stop(options.shutdown_grace_seconds)
    return 0


class Signals:
    """SIGTERM and SIGINT ask for an orderly end; a second one ends the process at once."""

    def __init__(self) -> None:
        self._arrived = threading.Event()
        self._callback: Callable[[], None] | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)

    def call(self, callback: Callable[[], None]) -> None:
        """Call back when a signal comes, at once if one has come already."""
        self._callback = callback
        if self._arrived.is_set():
            callback()

    def wait(self) -> None:
        """Wait for a signal."""
        while not self._arrived.wait(_WAKE_S):
            pass

    def _handle(self, number: int, frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        self._arrived.set()
        if self._callback:
            self._callback()


def _report_unused(command_line: CommandLine) -> None:
    for flag in command_line.ignored:
        log.info("flag.ignored", flag=flag.name, why=flag.why)
    for argument in command_line.unknown:
        log.warning("flag.unknown", argument=argument, hint="flags are written --name=value")


def _version() -> str:
    api = metadata.version("tensorflow-serving-api")
    for name in ("tensorflow-cpu", "tensorflow"):
        try:
            library = metadata.version(name)
            break
        except metadata.PackageNotFoundError:
            library = "not installed"
    return f"TensorFlow ModelServer: {api} (model_server, a stand-in)\nTensorFlow Library: {library}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _run() -> NoReturn:
    """Leave without waiting for threads: requests that outlived the grace period must not hold the exit up."""
    status = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    _run()
