"""What the README and its neighbours say is true."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from gateway import settings

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
# No settings of a gateway: with these `model_export` finds one.
FOR_PUBLISHING = {"GATEWAY_URL", "GATEWAY_KEY"}


def test_the_table_of_settings_is_the_one_that_the_gateway_prints():
    printed = subprocess.run(
        [sys.executable, "-m", "gateway", "settings"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert printed in README.split("<!-- settings -->\n")[1].split("<!-- /settings -->")[0]


def test_every_setting_that_is_named_anywhere_exists():
    known = {row.variable for row in settings.setting_rows()} | FOR_PUBLISHING
    for name in ("README.md", ".env.example", "docker-compose.yml", "Makefile", "deploy/serve.py", "deploy/stack.py"):
        named = set(re.findall(r"GATEWAY_[A-Z_]*[A-Z]", (ROOT / name).read_text()))
        assert named <= known, name


def test_a_bare_make_lists_every_command():
    listed = subprocess.run(["make"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for target in re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE):
        assert f"make {target} " in listed


@pytest.mark.parametrize("folder", re.findall(r"^\| `([a-z_]+/)` \|", README, re.MULTILINE))
def test_every_folder_of_the_table_exists(folder):
    assert (ROOT / folder).is_dir()


def test_every_link_to_a_file_leads_to_one():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
