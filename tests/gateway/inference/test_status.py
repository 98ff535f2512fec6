"""What is told of a model's versions."""

import pytest

from gateway.inference.status import ModelStatus, VersionStatus

FAILED = VersionStatus(2, "END", "INVALID_ARGUMENT", "broken")


def serving(*versions):
    return tuple(VersionStatus(version, "AVAILABLE") for version in versions)


def test_the_highest_available_version_is_the_latest():
    status = ModelStatus("m", (FAILED, *serving(1)))
    assert (status.available, status.is_ready) == ((1,), True)


def test_a_version_that_failed_is_a_problem_while_an_older_one_serves():
    assert ModelStatus("m", (FAILED, *serving(1))).problems == ("version 2 failed: INVALID_ARGUMENT: broken",)


def test_a_failure_is_over_when_a_newer_version_serves():
    assert ModelStatus("m", (*serving(3), FAILED)).problems == ()


def test_a_version_that_was_unloaded_is_no_problem():
    assert ModelStatus("m", (VersionStatus(2, "END"), *serving(1))).problems == ()


def test_a_model_without_an_available_version_says_what_its_versions_do():
    status = ModelStatus("m", (VersionStatus(3, "LOADING"), FAILED))
    assert not status.is_ready
    assert status.problems == (
        "no version is AVAILABLE",
        "version 2 failed: INVALID_ARGUMENT: broken",
        "version 3 is LOADING",
    )


def test_a_model_that_cannot_be_asked_for_is_not_ready_whatever_was_known():
    assert not ModelStatus("m", serving(1), problem="away").is_ready
    assert ModelStatus("m", serving(1), problem="away").problems == ("away",)


@pytest.mark.parametrize(
    ("versions", "has_failed"),
    [
        ((FAILED,), True),
        ((VersionStatus(3, "LOADING"), FAILED), False),
        ((VersionStatus(3, "END"), FAILED), True),
        (serving(1), False),
        ((), False),
    ],
)
def test_a_model_has_failed_when_no_version_may_still_come_up(versions, has_failed):
    assert ModelStatus("m", versions).has_failed == has_failed
