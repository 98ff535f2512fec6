"""The console on real processes: model server, gateway and Chromium, which reaches nothing but this host."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from tests.console.compared_stack import ComparedStack
from tests.console.compared_versions import MODEL, NEW, OLD
from tests.console.page import Page
from tests.console.stack import ConsoleStack
from tests.stack.browser import chromium, look
from tests.stack.conftest import exported, rollout_versions

__all__ = ["exported", "rollout_versions"]  # their fixtures, shared by all of this folder


# The first test of all waits for models that are trained and for versions that are written, on a machine that may be busy.
_TIMEOUT_S = 300


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of this folder that time, but for those that say another one."""
    for item in items:
        if item.path.parent == Path(__file__).parent and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_TIMEOUT_S))


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[webdriver.Chrome]:
    """A Chromium with a profile of its own."""
    with chromium(tmp_path_factory.mktemp("browser")) as driver:
        yield driver


@pytest.fixture(scope="session")
def console_stack(exported, rollout_versions, tmp_path_factory) -> Iterator[ConsoleStack]:
    """A running stack with keys, for tests that only ask."""
    running = ConsoleStack(tmp_path_factory.mktemp("console_stack"), exported, rollout_versions)
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture(scope="module")
def make_console_gateway(console_stack, exported, rollout_versions, tmp_path_factory) -> Iterator:
    """Makes running gateways before the model server of all, which rolls nothing out; arguments as those of `ConsoleStack`."""
    made: list[ConsoleStack] = []

    def make(**settings) -> ConsoleStack:
        folder = tmp_path_factory.mktemp("console_gateway")
        made.append(ConsoleStack(folder, exported, rollout_versions, **settings))
        return made[-1].start_before(console_stack)

    yield make
    for running in made:
        running.stop()


@pytest.fixture
def page(browser, console_stack) -> Iterator[Page]:
    """The console for the key ``admin``; nothing is loaded yet. It must have broken nothing when the test is over."""
    look(browser)
    page = Page(browser, console_stack.address, console_stack.keys["admin"])
    page.forget()
    yield page
    assert page.faults() == {}


@pytest.fixture(scope="session")
def compared_stack(tmp_path_factory) -> Iterator[ComparedStack]:
    """A running stack with two versions that differ in few rows."""
    running = ComparedStack(tmp_path_factory.mktemp("compared_stack"))
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture
def compared_page(browser, compared_stack) -> Iterator[Page]:
    """The console of ``compared_stack``, in its view Compare. It must have broken nothing when the test is over."""
    look(browser)
    page = Page(browser, compared_stack.address)
    page.forget()
    page.open("compare", model=MODEL, a=OLD, b=NEW)
    yield page
    assert page.faults() == {}
