"""What holds for every test."""

import os
import shutil
import signal

import pytest

# Started in the background of a shell, the test run would ignore Ctrl-C, and so would every program that a test starts and
# interrupts. A handler here is the default again after exec.
signal.signal(signal.SIGINT, signal.default_int_handler)

HAS_BROWSER = bool(shutil.which("chromium") and shutil.which("chromedriver"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs a browser where there is none, and say so; CI has one, and leaves nothing out."""
    if HAS_BROWSER or os.environ.get("CI"):
        return
    left_out = [item for item in items if "browser" in getattr(item, "fixturenames", ())]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def pytest_report_header() -> str | None:
    if HAS_BROWSER:
        return None
    return "NO BROWSER: tests of pages in Chromium are left out (Debian: apt-get install chromium chromium-driver)"
