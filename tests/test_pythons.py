"""The versions of Python that the project runs on are those of pyproject.toml's classifiers, wherever they are named."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
VERSIONS = [
    classifier.removeprefix("Programming Language :: Python :: ")
    for classifier in PYPROJECT["project"]["classifiers"]
    if classifier.startswith("Programming Language :: Python :: ")
]
MINORS = [int(version.removeprefix("3.")) for version in VERSIONS]
LISTED = f"{', '.join(VERSIONS[:-1])} or {VERSIONS[-1]}"


def test_no_version_between_two_is_left_out():
    assert list(range(MINORS[0], MINORS[-1] + 1)) == MINORS
    assert PYPROJECT["project"]["requires-python"] == f">=3.{MINORS[0]},<3.{MINORS[-1] + 1}"


def test_the_oldest_one_is_what_the_code_is_written_for_and_the_locks_are_made_for():
    assert PYPROJECT["tool"]["ruff"]["target-version"] == f"py3{MINORS[0]}"
    assert f"--universal --python-version {VERSIONS[0]} " in (ROOT / "Makefile").read_text()


def test_the_readme_names_them():
    assert f"with Python {LISTED} (" in (ROOT / "README.md").read_text()


def test_a_forge_tries_each():
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    [matrix] = re.findall(r"python: \[(.*)\]", workflow)
    assert re.findall(r'"([\d.]+)"', matrix) == VERSIONS


@pytest.fixture
def set_up(tmp_path):
    """Run deploy/venv.sh where the only interpreters are those of the given names and versions, which make no environment."""
    commands = tmp_path / "commands"
    commands.mkdir()
    for name in ("bash", "mkdir", "tail"):
        (commands / name).symlink_to(shutil.which(name))

    def set_up(interpreters: dict[str, tuple[int, int]], **environment: str) -> subprocess.CompletedProcess[str]:
        for name, (major, minor) in interpreters.items():
            path = commands / name
            path.write_text(INTERPRETER.format(python=sys.executable, name=name, major=major, minor=minor))
            path.chmod(0o755)
        return subprocess.run(
            [ROOT / "deploy" / "venv.sh", tmp_path / "environment", "requirements.txt"],
            env={name: value for name, value in os.environ.items() if name != "PYTHON"} | {"PATH": str(commands)} | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return set_up


INTERPRETER = """#!{python}
import sys
sys.version_info = ({major}, {minor}, 0, "final", 0)
if sys.argv[1] == "-c":
    exec(sys.argv[2])
elif sys.argv[1] == "--version":
    print("{name}")
else:
    sys.exit("this one makes no environment")
"""


@pytest.mark.parametrize("minor", MINORS)
def test_an_environment_is_made_with_each_of_them(set_up, minor):
    assert "environment with python3" in set_up({"python3": (3, minor)}).stdout


@pytest.mark.parametrize("version", [(2, 7), (3, MINORS[0] - 1), (3, MINORS[-1] + 1)])
def test_no_environment_is_made_with_another(set_up, version):
    done = set_up({"python3": version})
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"setup: Python {LISTED} is needed; tried: python{VERSIONS[0]} ")


def test_one_of_them_is_found_beside_another_python3(set_up):
    named = f"python{VERSIONS[-1]}"
    assert f"environment with {named}" in set_up({"python3": (3, MINORS[-1] + 1), named: (3, MINORS[-1])}).stdout


def test_python_names_another_interpreter(set_up):
    interpreters = {f"python{VERSIONS[0]}": (3, MINORS[0]), "mine": (3, MINORS[-1])}
    assert "environment with mine" in set_up(interpreters, PYTHON="mine").stdout


def test_a_machine_that_cannot_make_a_debian_13_is_told_apart_from_a_failure(tmp_path):
    unshare = tmp_path / "unshare"
    unshare.write_text("#!/bin/sh\nexit 1\n")
    unshare.chmod(0o755)
    done = subprocess.run(
        [ROOT / ".ci" / "debian13"],
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 77
    assert done.stderr.startswith("debian13: ")
