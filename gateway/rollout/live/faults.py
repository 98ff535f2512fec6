"""What an error says about the version that was asked: a fault of it, a refusal of the request, or nothing."""

from enum import Enum
from typing import Final

from gateway.errors import (
    DataLoss,
    DeadlineExceeded,
    FailedPrecondition,
    GatewayError,
    Internal,
    InvalidArgument,
    NotFound,
    OutOfRange,
    RateLimited,
    ResourceExhausted,
    Unavailable,
    Unimplemented,
    Unknown,
)
from gateway.inference.suggestions import is_unserved

_FAULTS: Final = (Unavailable, Internal, Unknown, DataLoss, Unimplemented, ResourceExhausted, DeadlineExceeded)
_REFUSALS: Final = (InvalidArgument, FailedPrecondition, OutOfRange)


class Kind(Enum):
    """What an error says."""

    FAULT = "fault"  # the model or its server failed
    REFUSAL = "refusal"  # the version does not take this request
    UNSENT = "unsent"  # the gateway has refused the request by the version's signature, without a call
    MISSING = "missing"  # the server does not have the version
    OTHER = "other"  # something else, such as a bound of the gateway


def is_refusal(error: GatewayError) -> bool:
    """Whether a version that was called does not take the request. What the model itself does not find is such an error."""
    return isinstance(error, _REFUSALS) or (isinstance(error, NotFound) and not is_unserved(error))


def kind_of(error: GatewayError, *, was_called: bool = True) -> Kind:
    """What ``error`` says of the version. ``was_called``: the request had got as far as the call of the model server."""
    if is_unserved(error) or (isinstance(error, NotFound) and not was_called):
        return Kind.MISSING
    if is_refusal(error):
        return Kind.REFUSAL if was_called else Kind.UNSENT
    if isinstance(error, Unimplemented) and not was_called:
        return Kind.UNSENT
    if not isinstance(error, _FAULTS) or isinstance(error, RateLimited):
        return Kind.OTHER
    # A deadline names a setting, and is the version's fault if it had the time.
    if isinstance(error, DeadlineExceeded):
        return Kind.FAULT if was_called else Kind.OTHER
    # Before the call, it is the version's metadata that the server did not give. What the gateway refuses itself names the
    # setting that decided it.
    return Kind.FAULT if error.setting is None else Kind.OTHER
