"""The commands of the README give the answers that stand below them."""

import json
import re
import shlex
import subprocess
from pathlib import Path

README = (Path(__file__).resolve().parent.parent.parent / "README.md").read_text()


def curl(stack, command: str) -> str:
    words = shlex.split(command.replace("http://127.0.0.1:8080", stack.address))
    return subprocess.run([*words, "--silent"], check=True, capture_output=True, text=True).stdout


def test_the_first_curl_gives_the_answer_below_it(stack):
    command, answer = re.search(r"^\$ (curl .*half_plus_two:predict)\n(\{.*\})$", README, re.MULTILINE).groups()
    assert curl(stack, command) == answer


def test_the_refusal_is_as_shown(stack):
    command, shown = re.search(r"^\$ (curl .*/predict)\n((?:.*\n)+?)```", README, re.MULTILINE).groups()
    body = json.loads(curl(stack, command))
    assert json.loads(shown) == body
