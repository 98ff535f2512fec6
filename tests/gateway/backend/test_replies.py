"""The model server's replies as values, also where it leaves fields out or has enum values that are not known here."""

from gateway.backend.replies import model_status
from gateway.backend.stubs import GetModelStatusResponse
from gateway.inference.status import ModelStatus, VersionStatus


def test_a_status_has_the_newest_version_first():
    reply = GetModelStatusResponse()
    reply.model_version_status.add(version=1, state=50)
    failed = reply.model_version_status.add(version=10, state=50).status
    failed.error_code, failed.error_message = 3, "no graph"
    reply.model_version_status.add(version=9, state=30).status.error_code = 0
    assert model_status("m", reply) == ModelStatus(
        "m",
        (
            VersionStatus(10, "END", "INVALID_ARGUMENT", "no graph"),
            VersionStatus(9, "AVAILABLE"),
            VersionStatus(1, "END"),
        ),
    )


def test_a_value_that_is_not_known_keeps_its_number():
    reply = GetModelStatusResponse()
    reply.model_version_status.add(version=1, state=31).status.error_code = 77
    [version] = model_status("m", reply).versions
    assert (version.state, version.error_code, version.is_available, version.has_failed) == ("31", "77", False, True)
