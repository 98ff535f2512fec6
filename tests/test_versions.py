"""TensorFlow, its serving API and the server's image are of one version: that of tensorflow-serving-api in pyproject.toml."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
[VERSION] = [
    dependency.removeprefix("tensorflow-serving-api==")
    for dependency in PROJECT["dependencies"]
    if dependency.startswith("tensorflow-serving-api==")
]


def test_the_extras_pin_the_same_tensorflow():
    pins = [dependency for dependency in PROJECT["optional-dependencies"]["tensorflow"] if dependency.startswith("tensorflow")]
    assert len(pins) == 2
    assert all(f"=={VERSION};" in pin for pin in pins)


@pytest.mark.parametrize("lock", ["dev", "serve", "bench", "gateway"])
def test_the_locks_pin_the_same_tensorflow(lock):
    pins = re.findall(r"^tensorflow[a-z-]*==(\S+)", (ROOT / "requirements" / f"{lock}.txt").read_text(), re.MULTILINE)
    assert pins
    assert set(pins) == {VERSION}


@pytest.mark.parametrize("lock", ["dev", "serve", "bench", "gateway"])
def test_the_locks_hold_pins_with_hashes_and_no_addresses(lock):
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    assert "://" not in text
    assert "--index" not in text
    for line in re.findall(r"^[a-z].*$", text, re.MULTILINE):
        assert "==" in line
        assert line.endswith("\\"), f"no hash: {line}"


def test_one_lock_never_contradicts_another():
    pins: dict[str, set[str]] = {}
    for lock in ("dev", "serve", "bench", "gateway"):
        for line in re.findall(r"^([a-z][^\\]*)", (ROOT / "requirements" / f"{lock}.txt").read_text(), re.MULTILINE):
            name, _, rest = line.partition("==")
            # One package may have several pins, told apart by their markers.
            pins.setdefault(name, set()).add(rest.split(" ;")[0].strip())
    assert {name: versions for name, versions in pins.items() if len(versions) > 1}.keys() <= {"numpy", "scipy", "contourpy"}


def test_the_keras_of_upstreams_test_is_made_for_the_same_tensorflow():
    [pin] = re.findall(r"^tf-keras==(\d+\.\d+)\.", (ROOT / "requirements" / "upstream.txt").read_text(), re.MULTILINE)
    assert VERSION.startswith(f"{pin}.")


@pytest.mark.parametrize("name", ["docker-compose.yml", ".env.example"])
def test_the_image_of_the_server_has_the_same_version(name):
    images = re.findall(r"tensorflow/serving:([\d.]+)", (ROOT / name).read_text())
    assert images
    assert set(images) == {VERSION}
