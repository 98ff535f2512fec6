"""What upstream's test starts instead of tensorflow_model_server: our model server, and the gateway where REST is asked for.

The process becomes the model server, so that its standard error and its exit are what the test looks at. The gateway is
its child, and ends when it ends.
"""

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from tests.conformance.fixture import SETTINGS

ROOT = Path(__file__).resolve().parents[2]
_PR_SET_PDEATHSIG = 1


def write(path: Path) -> None:
    """Put the program at ``path``."""
    path.write_text(
        f"#!{sys.executable}\n"
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from tests.upstream import program\nprogram.run(sys.argv[1:])\n"
    )
    path.chmod(0o755)


def run(arguments: list[str]) -> NoReturn:
    """Become the server that upstream's flags describe."""
    flags = dict(argument.removeprefix("--").split("=", 1) for argument in arguments if "=" in argument)
    os.chdir(ROOT)
    if "rest_api_port" in flags:
        _start_gateway(_gateway_environment(flags))
    own = [argument for argument in arguments if argument.removeprefix("--").split("=")[0] not in {"rest_api_port", *SETTINGS}]
    os.execv(sys.executable, [sys.executable, "-m", "model_server", *own])  # noqa: S606 - flags of a test


def _gateway_environment(flags: dict[str, str]) -> dict[str, str]:
    settings = {SETTINGS[name][0]: SETTINGS[name][1](value) for name, value in flags.items() if name in SETTINGS}
    return settings | {
        "GATEWAY_PORT": flags["rest_api_port"],
        "GATEWAY_WORKERS": "1",
        "GATEWAY_SERVING_TARGET": f"127.0.0.1:{flags['port']}",
        "GATEWAY_MODEL_CONFIG_FILE": flags.get("model_config_file", ""),
    }


def _start_gateway(environment: dict[str, str]) -> None:
    subprocess.Popen(
        [sys.executable, "-m", "gateway"],
        env=os.environ | environment,
        stderr=subprocess.STDOUT,  # the test reads the model server's to its end
        preexec_fn=_end_with_parent,  # noqa: PLW1509 - no thread runs here
    )


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
