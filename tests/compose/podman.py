"""`podman kube play`, the nearest to a kubelet that runs without a cluster. All that it keeps lies in one folder."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

# Of the processes in a container. The usual ones are refused where this runs without the right to raise limits.
_CONFIGURATION = """[containers]
default_ulimits = ["nofile=16384:16384", "nproc=32768:32768"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
_PROGRAMS = ("podman", "runc", "catatonit")


def missing() -> str:
    """What podman needs and is not here, or the empty string."""
    if os.geteuid() != 0:
        return "podman is run by root here"
    return ", ".join(program for program in _PROGRAMS if not shutil.which(program))


class Podman:
    """One podman with a store of its own in ``folder``. ``remove`` takes away all that it has made."""

    def __init__(self, folder: Path) -> None:
        configuration = folder / "containers.conf"
        configuration.write_text(_CONFIGURATION)
        places = {"root": "root", "runroot": "run", "tmpdir": "tmp"}
        self._podman = ["podman", *(f"--{option}={folder / name}" for option, name in places.items())]
        # The Docker engine's variables would be taken for podman's own.
        docker = ("DOCKER_HOST", "DOCKER_CONFIG")
        self._environment = {name: value for name, value in os.environ.items() if name not in docker}
        self._environment["CONTAINERS_CONF"] = str(configuration)

    def load(self, images: list[str], environment: Mapping[str, str]) -> None:
        """Take ``images`` over from the Docker engine that ``environment`` names."""
        with subprocess.Popen(["docker", "save", *images], env=dict(environment), stdout=subprocess.PIPE) as saving:
            self._run("load", "--quiet", stdin=saving.stdout)
        assert saving.returncode == 0

    def play(self, documents: list[dict[str, Any]], file: Path) -> None:
        """Start the Pods of ``documents``, without a network; returns when their init containers have ended."""
        file.write_text(yaml.safe_dump_all(documents))
        self._run("kube", "play", "--network=none", str(file))

    def run_in(self, container: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run ``command`` in a container, whatever its exit status is."""
        return self._run("exec", container, *command, check=False)

    def logs(self, container: str) -> str:
        """What a container has written."""
        done = self._run("logs", container, check=False)
        return done.stdout + done.stderr

    def stop(self, pod: str, grace_s: int) -> None:
        """Send SIGTERM to all containers of ``pod``, and SIGKILL to those that are there after ``grace_s`` seconds."""
        self._run("pod", "stop", f"--time={grace_s}", pod)

    def exit_code(self, container: str) -> int:
        """With what a container that was stopped has exited."""
        return int(self._run("inspect", "--format={{.State.ExitCode}}", container).stdout)

    def remove(self) -> None:
        """Take Pods, volumes and images away."""
        self._run("pod", "rm", "--all", "--force", check=False)
        self._run("volume", "prune", "--force", check=False)
        self._run("image", "rm", "--all", "--force", check=False)

    def _run(self, *arguments: str, stdin: Any = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*self._podman, *arguments],
            env=self._environment,
            stdin=stdin or subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0 or not check, f"podman {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done
