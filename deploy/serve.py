"""``make serve``: the whole stack on this machine without Docker. Exported models, model server, gateway, until Ctrl-C.

Settings from the environment: GATEWAY_PORT, SERVING_PORT, MODELS_DIR, SERVING_SSL_CONFIG_FILE (the model server's
``--ssl_config_file``); every other GATEWAY_* setting reaches the gateway as is. Rollouts, and the versions that they have
pinned, are the same after a restart.
An error is one line. Exit codes: 0 after Ctrl-C, SIGTERM or a closed terminal, 1 when something failed.
"""

import os
import subprocess
import sys
import time
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path

from deploy import readiness
from deploy.errors import ServeError, Stopped
from deploy.greeting import greeting
from deploy.kept_policies import write_list
from deploy.model_list import model_list
from deploy.part import Part, check_running, running
from deploy.signals import stop_on_signals
from deploy.stack import ROOT, Stack, gateway_environment, server_flags, stack_from

READY_TIMEOUT_S = 180
# After this long the terminal shows what is waited for, and again when that has changed.
SILENT_S = 5


def main() -> int:
    """Run the stack; the exit code."""
    stop_on_signals()
    try:
        _serve(stack_from(os.environ))
    except Stopped:
        with suppress(OSError):  # the terminal may be gone
            _say("stopped")
        return 0
    except ServeError as error:
        print(f"serve: {error}", file=sys.stderr)
        return 1
    return 0


def _serve(stack: Stack) -> None:
    _export(stack.models_dir)
    models = model_list(ROOT / "serving_config" / "models.config", stack.models_dir)
    for model in models.left_out:
        _say(f"left out: {model}")
    for line in write_list(models.config, stack.model_config_file):
        _say(line)
    with ExitStack() as parts:
        _say("starting the model server and the gateway")
        # Stopped in the opposite order: the gateway ends what is in flight while the model server still answers.
        server = parts.enter_context(_python("model_server", stack, server_flags(stack, os.environ), {}))
        gateway = parts.enter_context(_python("gateway", stack, [], gateway_environment(stack, os.environ)))
        for failure in _wait_until_ready(stack, [server, gateway]):
            _say(f"warning: {failure}")
        _say(greeting(stack, os.environ))
        _watch([server, gateway])


def _export(models_dir: Path) -> None:
    command = [sys.executable, "-m", "model_export", "build", "--all", "--if-missing", "--models-dir", str(models_dir)]
    if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
        raise ServeError("the example models could not be exported: see above")


def _python(module: str, stack: Stack, flags: list[str], environment: dict[str, str]) -> AbstractContextManager[Part]:
    return running([sys.executable, "-m", module, *flags], environment, stack.logs_dir / f"{module}.log")


def _wait_until_ready(stack: Stack, parts: list[Part]) -> tuple[str, ...]:
    """Wait until each model serves or has failed; a line for each failure. Raises ServeError when it takes too long."""
    began_s = shown_s = time.monotonic()
    shown = ""
    while True:
        check_running(parts)
        state, now_s = readiness.ask(stack.gateway_port, stack.scheme), time.monotonic()
        if not state.waiting_for:
            return state.failures
        if now_s - began_s > READY_TIMEOUT_S:
            raise ServeError(f"not ready after {READY_TIMEOUT_S} s: {state.waiting_for}")
        if now_s - shown_s > SILENT_S and state.waiting_for != shown:
            shown, shown_s = state.waiting_for, now_s
            _say(f"waiting: {shown}")
        time.sleep(0.2)


def _watch(parts: list[Part]) -> None:
    while True:
        check_running(parts)
        time.sleep(0.5)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
