"""A Docker engine for the tests: the one that runs, or one that a command brings up for as long as it is needed.

The command is $COMPOSE_TEST_ENGINE, by default ../shared/docker/engine beside the repository. ``COMMAND up`` prints
``export NAME=VALUE ...`` lines that make an engine reachable, ``COMMAND down`` stops it.
"""

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
_BESIDE = REPOSITORY.parent / "shared" / "docker" / "engine"


class NoEngineError(Exception):
    """Raised when no engine with compose v2 can be had; the message is one line."""


@contextmanager
def engine() -> Iterator[dict[str, str]]:
    """The environment in which ``docker`` reaches an engine. Raises NoEngineError."""
    environment = dict(os.environ)
    if not (problem := _problem(environment)):
        yield environment
        return
    command = os.environ.get("COMPOSE_TEST_ENGINE") or (str(_BESIDE) if os.access(_BESIDE, os.X_OK) else "")
    if not command:
        raise NoEngineError(f"{problem}; COMPOSE_TEST_ENGINE may name a command that brings an engine up")
    if not shutil.which(command):
        raise NoEngineError(f"{problem}; COMPOSE_TEST_ENGINE={command} is no command")
    try:
        environment |= _bring_up(command)
        if problem := _problem(environment):
            raise NoEngineError(f"after `{command} up`: {problem}")
        yield environment
    finally:
        subprocess.run([command, "down"], check=False)


def _problem(environment: dict[str, str]) -> str:
    """What is missing, or the empty string."""
    for command in (["docker", "info"], ["docker", "compose", "version"]):
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"`{shlex.join(command)}`: {error}"
        if done.returncode:
            return f"`{shlex.join(command)}`: {' '.join(done.stderr.split())}"
    return ""


def _bring_up(command: str) -> dict[str, str]:
    try:
        done = subprocess.run([command, "up"], stdout=subprocess.PIPE, text=True, check=True)
    except subprocess.CalledProcessError as error:
        raise NoEngineError(f"`{command} up`: status {error.returncode}") from error
    words = shlex.split(done.stdout)
    return dict(word.split("=", 1) for word in words if "=" in word)
