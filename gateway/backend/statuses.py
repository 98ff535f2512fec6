"""gRPC statuses as the gateway's errors, and which of them say that the server is away."""

from collections.abc import Callable

import grpc
from grpc import aio

from gateway import errors

ERROR_OF_STATUS: dict[grpc.StatusCode, Callable[[str], errors.GatewayError]] = {
    grpc.StatusCode.CANCELLED: errors.Cancelled,
    grpc.StatusCode.UNKNOWN: errors.Unknown,
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidArgument,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.DeadlineExceeded,
    grpc.StatusCode.NOT_FOUND: errors.NotFound,
    grpc.StatusCode.ALREADY_EXISTS: errors.AlreadyExists,
    grpc.StatusCode.PERMISSION_DENIED: errors.PermissionDenied,
    grpc.StatusCode.UNAUTHENTICATED: errors.Unauthenticated,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.ResourceExhausted,
    grpc.StatusCode.FAILED_PRECONDITION: errors.FailedPrecondition,
    grpc.StatusCode.ABORTED: errors.Aborted,
    grpc.StatusCode.OUT_OF_RANGE: errors.OutOfRange,
    grpc.StatusCode.UNIMPLEMENTED: errors.Unimplemented,
    grpc.StatusCode.INTERNAL: errors.Internal,
    grpc.StatusCode.UNAVAILABLE: errors.Unavailable,
    grpc.StatusCode.DATA_LOSS: errors.DataLoss,
}

AWAY = "the model server cannot be reached"

# TensorFlow Serving's batch scheduler is full (tensorflow core/kernels/batching_util/shared_batch_scheduler.h). The server is
# there and overloaded: calling again at once would only add to it, and its text is worth showing.
_QUEUE_FULL = "batch scheduling queue"

# A call that is cancelled here ends in asyncio's own way; this status is of a server that stops and does not wait for it.
_GONE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


def is_away(error: aio.AioRpcError) -> bool:
    """Whether the server, or the connection to it, went away: then the call is worth another attempt."""
    return error.code() in _GONE and _QUEUE_FULL not in (error.details() or "")


def translated(error: aio.AioRpcError) -> errors.GatewayError:
    """The error of the tree that says the same. gRPC's own words name addresses of the inside: they are not for the client."""
    if is_away(error):
        return errors.Unavailable(AWAY)
    if error.code() in _GONE:
        return errors.Unavailable(error.details() or "")
    return ERROR_OF_STATUS.get(error.code(), errors.Unknown)(error.details() or "")
