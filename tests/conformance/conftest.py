"""The fixtures of the cases, and the count of what passed of each kind."""

from collections import Counter, defaultdict

import pytest

from tests.conformance import case as case_file
from tests.conformance.fixture import Fixtures

_outcomes: dict[str, Counter] = defaultdict(Counter)


@pytest.fixture(scope="session")
def fixtures(tmp_path_factory):
    running = Fixtures(tmp_path_factory.mktemp("conformance"), case_file.load().fixtures)
    yield running
    running.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    kind = getattr(item, "callspec", None) and item.callspec.params.get("case", {}).get("kind")
    if kind and (report.when == "call" or report.failed):
        _outcomes[kind]["excepted" if report.skipped else report.outcome] += 1
    return report


def pytest_terminal_summary(terminalreporter):
    if not _outcomes:
        return
    terminalreporter.section("conformance")
    for kind, outcomes in _outcomes.items():
        counts = ", ".join(f"{outcomes[outcome]} {outcome}" for outcome in ("passed", "excepted", "failed"))
        terminalreporter.write_line(f"{kind:16} {counts}")
