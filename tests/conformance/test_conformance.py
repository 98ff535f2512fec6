"""Every case of the case file passes, or departs as ``deviations`` says and promises (shown as xfailed, with the reason)."""

import pytest

from tests.conformance import case as case_file
from tests.conformance.converters import CHECKS
from tests.conformance.deviations import DEVIATIONS, expectation_instead
from tests.conformance.exchange import http

FILE = case_file.load()
DEFAULT_FIXTURE = "F1"


@pytest.mark.timeout(300)  # the first case of a fixture makes its models and starts its processes
@pytest.mark.parametrize("case", FILE.cases, ids=[case["id"] for case in FILE.cases])
def test_case(case, fixtures):
    try:
        check(case, fixtures)
    except AssertionError:
        instead = expectation_instead(case, FILE.fixtures.get(case.get("fixture"), {"models": []}))
        if instead is None:
            raise
        reason, expect = instead
        check(case | {"expect": expect}, fixtures)
        pytest.xfail(reason)


def test_every_exception_is_needed_by_a_case_of_our_own():
    cases = case_file.load_own()
    fixture = cases.fixtures[DEFAULT_FIXTURE]
    covered = {expectation_instead(case, fixture)[0] for case in cases.cases if expectation_instead(case, fixture)}
    assert covered == {deviation.reason for deviation in DEVIATIONS}


def check(case: dict, fixtures) -> None:
    if case["kind"] == "http":
        flags = tuple(case.get("fixture_flags", ()))
        http(case, fixtures.get(case.get("fixture", DEFAULT_FIXTURE), flags))
    else:
        CHECKS[case["kind"]](case)
