"""The engine and the stack, shared by all tests of one run; tests marked ``compose`` run only when ``-m`` asks for them."""

from collections.abc import Callable, Iterator

import pytest

from tests.compose.engine import NoEngineError, engine
from tests.compose.stack import CommandError, Stack
from tests.waiting import wait_for

NOT_RUN = 77
"""The exit status that says that nothing was tested, as opposed to passed (0) or failed (1)."""

START_TIMEOUT_S = 60


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs an engine, unless it is asked for by its marker."""
    if "compose" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("compose")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def say(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Tell at once how far things are, past pytest's capturing."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")

    def say(text: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\ncompose-test: {text}", flush=True)

    return say


@pytest.fixture(scope="session")
def engine_environment() -> Iterator[dict[str, str]]:
    try:
        with engine() as environment:
            yield environment
    except NoEngineError as error:
        pytest.exit(f"compose-test NOT RUN: {error}", returncode=NOT_RUN)


@pytest.fixture(scope="session")
def stack(request, engine_environment, say, tmp_path_factory) -> Iterator[Stack]:
    """The whole stack, brought up from nothing and serving."""
    stack = Stack(tmp_path_factory.mktemp("checkout"), engine_environment, say)
    stack.check_out()
    try:
        _bring_up(stack)
        yield stack
        if request.session.testsfailed:
            say(f"the containers' logs:\n{stack.logs()}")
    finally:
        stack.remove()


def _bring_up(stack: Stack) -> None:
    """Without a stack there is nothing to test: one report instead of one for each test."""
    try:
        stack.build()
        stack.up()
        wait_for(stack.is_ready, START_TIMEOUT_S)
    except (CommandError, AssertionError) as error:
        pytest.exit(f"the stack did not come up: {error}\n{stack.logs()}", returncode=pytest.ExitCode.TESTS_FAILED)
