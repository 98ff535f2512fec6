"""gRPC statuses as the gateway's errors, and which of them say that the server is away."""

from typing import Final

import grpc
from grpc import aio

from gateway import errors

# The errors bear the names of gRPC's statuses.
ERROR_OF_STATUS: Final = {
    status: error for error in errors.GatewayError.__subclasses__() for status in grpc.StatusCode if status.name == error.code
}

AWAY: Final = "the model server cannot be reached"


class Away(errors.Unavailable):
    """Raised when the server, or the connection to it, went away: another server may answer the call."""

    def __init__(self, message: str = AWAY, retry_after_s: int = 1) -> None:
        super().__init__(message, retry_after_s)


# TensorFlow Serving's batch scheduler is full (tensorflow core/kernels/batching_util/shared_batch_scheduler.h). The server is
# there and overloaded: calling again at once would only add to it, and its text is worth showing.
_QUEUE_FULL: Final = "batch scheduling queue"

# A call that is cancelled here ends in asyncio's own way; CANCELLED comes from a server that stops and does not wait for it.
_GONE: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


def is_away(error: aio.AioRpcError) -> bool:
    """Whether the server, or the connection to it, went away: then the call is worth another attempt."""
    return error.code() in _GONE and _QUEUE_FULL not in (error.details() or "")


def error_of_call(error: aio.AioRpcError) -> errors.GatewayError:
    """The GatewayError of a call that failed. gRPC's text for a server that is away is left out: it has internal addresses."""
    if is_away(error):
        return Away()
    kind = errors.Unavailable if error.code() in _GONE else ERROR_OF_STATUS.get(error.code(), errors.Unknown)
    return kind(error.details() or "")
