"""What an error says about the version that was asked."""

import pytest

from gateway import errors
from gateway.deadline import Deadline
from gateway.rollout.live.faults import Kind, is_refusal, kind_of

OF_SERVER = {
    "INVALID_ARGUMENT": Kind.REFUSAL,
    "FAILED_PRECONDITION": Kind.REFUSAL,
    "OUT_OF_RANGE": Kind.REFUSAL,
    "NOT_FOUND": Kind.REFUSAL,  # the model itself does not find something
    "RESOURCE_EXHAUSTED": Kind.FAULT,
    "UNKNOWN": Kind.FAULT,
    "INTERNAL": Kind.FAULT,
    "DATA_LOSS": Kind.FAULT,
    "UNIMPLEMENTED": Kind.FAULT,
    "UNAVAILABLE": Kind.FAULT,
    "DEADLINE_EXCEEDED": Kind.FAULT,
    "UNAUTHENTICATED": Kind.OTHER,
    "PERMISSION_DENIED": Kind.OTHER,
    "ALREADY_EXISTS": Kind.OTHER,
    "ABORTED": Kind.OTHER,
    "CANCELLED": Kind.OTHER,
}


@pytest.mark.parametrize("code", OF_SERVER)
def test_a_status_of_the_model_server(code):
    error = next(kind for kind in errors.GatewayError.__subclasses__() if kind.code == code)
    assert kind_of(error("it went wrong")) is OF_SERVER[code]


def test_every_error_that_a_server_can_give_is_looked_at():
    of_http = {
        "METHOD_NOT_ALLOWED",
        "REQUEST_TIMEOUT",
        "PAYLOAD_TOO_LARGE",
        "URI_TOO_LONG",
        "EXPECTATION_FAILED",
        "PRECONDITION_FAILED",
    }
    codes = {kind.code for kind in errors.GatewayError.__subclasses__()} - of_http - {"HEADER_FIELDS_TOO_LARGE"}
    assert {code for code in codes if code.isupper()} - set(OF_SERVER) <= {"INTERNAL_ERROR"}


@pytest.mark.parametrize(
    "words",
    [
        "Servable not found for request: Specific(m, 7)",
        "Servable not found for request: Specific(m, 7). m has the versions: 8",
        "Could not find any versions of model m",
        "Could not find version 7 of model m",
    ],
)
def test_a_version_that_the_server_does_not_serve_is_missing(words):
    assert kind_of(errors.NotFound(words)) is kind_of(errors.NotFound(words), was_called=False) is Kind.MISSING
    assert not is_refusal(errors.NotFound(words))


@pytest.mark.parametrize(
    "words", ["no such key in the table", "Could not find variable dense/kernel", "Not found: Servable not found"]
)
def test_what_the_model_itself_does_not_find_is_a_refusal(words):
    assert kind_of(errors.NotFound(words)) is Kind.REFUSAL
    assert is_refusal(errors.NotFound(words))


def test_before_the_call_it_is_not_the_model_that_finds_nothing():
    assert kind_of(errors.NotFound("no metadata"), was_called=False) is Kind.MISSING


def test_the_gateways_own_refusal_says_nothing():
    for error in (
        errors.Unavailable("too many requests wait").decided_by("GATEWAY_BATCH_MAX_QUEUED_ROWS", 1),
        errors.ResourceExhausted("too much").decided_by("GATEWAY_X", 1),
        errors.RateLimited("too often", ()),
    ):
        assert kind_of(error) is Kind.OTHER, error


def test_a_deadline_is_the_versions_fault_once_it_was_called():
    error = Deadline.after(1).exceeded()
    assert kind_of(error) is Kind.FAULT
    assert kind_of(error, was_called=False) is Kind.OTHER


def test_what_the_gateway_refuses_by_the_signature_was_not_sent():
    assert kind_of(errors.InvalidArgument("no"), was_called=False) is Kind.UNSENT
    assert kind_of(errors.Unimplemented("no"), was_called=False) is Kind.UNSENT


@pytest.mark.parametrize(
    "error", [errors.Unavailable, errors.Internal, errors.Unknown, errors.DataLoss], ids=lambda one: one.code
)
def test_metadata_that_the_server_does_not_give_is_the_versions_fault(error):
    assert kind_of(error("no signatures"), was_called=False) is Kind.FAULT
    assert kind_of(error("full").decided_by("GATEWAY_X", 1), was_called=False) is Kind.OTHER
