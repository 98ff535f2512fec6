"""What docs/scaling.md says is true: its links, commands, settings, metrics, events and figures exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import cli
from benchmarks.reporting import results
from gateway import settings

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs"
PAGE = (FOLDER / "scaling.md").read_text()
SOURCES = "".join(path.read_text() for path in (ROOT / "gateway").rglob("*.py"))


def test_every_link_leads_to_a_file_and_a_heading_of_it():
    links = re.findall(r"\]\(([^)#:]+)(?:#([^)]+))?\)", PAGE)
    assert links
    for target, anchor in links:
        file = FOLDER / target
        assert file.exists(), target
        headings = {title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)}
        assert not anchor or anchor in headings, anchor


def test_every_setting_exists():
    known = {row.variable for row in settings.setting_rows()}
    assert set(re.findall(r"GATEWAY_[A-Z_]*[A-Z]", PAGE)) <= known


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(gateway_[a-z_]+|(?:server|backend)\.[a-z_]+)`", PAGE))))
def test_every_metric_and_event_exists(name):
    assert f'"{name}"' in SOURCES or f'"{name.removesuffix("_total")}"' in SOURCES


@pytest.mark.parametrize("command", sorted(set(re.findall(r"python -m benchmarks ([a-z ]*[a-z])", PAGE))))
def test_every_command_of_the_benchmarks_exists(command):
    result = CliRunner().invoke(cli, [*command.split(), "--help"])
    assert result.exit_code == 0, result.output


def test_every_target_of_make_exists():
    listed = subprocess.run(["make"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for target in set(re.findall(r"`make ([a-z-]+)", PAGE)):
        assert f"make {target} " in listed


def test_the_flags_are_those_of_the_model_server():
    help_text = subprocess.run(
        [sys.executable, "-m", "model_server", "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    for flag in set(re.findall(r"`--([a-z_]+)=", PAGE)):
        assert f"--{flag}" in help_text.stdout + help_text.stderr


def test_the_figures_are_those_of_the_kept_results():
    """After new results the table under "How many" has to be written anew."""
    groups = results.read(results.KEPT).groups
    rows = {
        p["case"]["clients"]: p["median"]
        for p in groups["rows"]["points"]
        if p["contender"] == "gateway" and len(p["case"]) == 1
    }
    growth = [p["median"] for p in groups["growth"]["points"] if p["case"] == {"rows": 1024}]
    assert f"{rows[32]['rps']:,.0f} at 32 clients, {rows[256]['rps']:,.0f} at 256" in PAGE
    assert f"{rows[32]['front_cpu_us']:.0f} µs" in PAGE
    assert f"{rows[32]['backend_cpu_us']:.0f} µs at 32 clients, {rows[256]['backend_cpu_us']:.0f} µs at 256" in PAGE
    assert f"({growth[0]['rps']:.0f} requests/s)" in PAGE


def test_it_is_a_page_and_not_a_book():
    assert len(PAGE.splitlines()) <= 150
