"""Everything that can go wrong with a request, as one tree.

::

    GatewayError
    ├── InvalidArgument        400  the request does not fit the model's signature; carries every Problem
    ├── FailedPrecondition     400  the model cannot answer such a request
    ├── OutOfRange             400
    ├── Unauthenticated        401
    ├── PermissionDenied       403
    ├── NotFound               404  no such model, version or route
    ├── MethodNotAllowed       405  carries the methods that are allowed
    ├── RequestTimeout         408  the HTTP request did not arrive in time
    ├── AlreadyExists          409
    ├── Aborted                409
    ├── PayloadTooLarge        413  the HTTP body is over the limit
    ├── UriTooLong             414  the target of the HTTP request is over the limit
    ├── ExpectationFailed      417  the HTTP request expects what this server does not do
    ├── ResourceExhausted      429
    │   └── RateLimited        429  the caller's own limit is used up; carries the headers that say so
    ├── HeaderFieldsTooLarge   431  the head of the HTTP request is over the limits
    ├── Cancelled              499  the client went away
    ├── Unknown                500
    ├── Internal               500
    ├── DataLoss               500
    ├── Unimplemented          501
    ├── Unavailable            503  carries when to try again
    └── DeadlineExceeded       504

Each class has its HTTP status and its canonical code name. The names are those of gRPC, and the pairs those of
TensorFlow Serving's REST port (``util/net_http/server/public/response_code_enum.h``), except for the HTTP-only ones: 405, 408,
413, 414, 417 and 431.
Each dialect renders the tree in its own shape (``api/errors.py``). Where a setting decided the refusal, the error says which
(``decided_by``), for the operator's log.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a request.

    ``pointer`` is an RFC 6901 JSON pointer into the request's body (empty: the whole body); ``expected`` and ``got`` are short
    phrases for a person (``int32``, ``string "abc"``).
    """

    pointer: str
    expected: str
    got: str

    def __str__(self) -> str:
        return f"{self.pointer or '(body)'}: expected {self.expected}, got {self.got}"


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of the gateway as it was when it decided a refusal: its environment variable, and its value."""

    variable: str
    value: int | str

    def as_fields(self) -> dict[str, int | str]:
        """The fields of a log event."""
        return {"setting": self.variable, "setting_value": self.value}


class GatewayError(Exception):
    """An error that answers a request. ``message`` may be shown to the client.

    ``setting`` is for the operator only: the setting that decided the refusal, or None.
    """

    http_status: ClassVar[int] = 500
    code: ClassVar[str] = "INTERNAL"
    setting: Setting | None = None

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def decided_by(self, variable: str, value: int | str) -> Self:
        """This error, which now says that the setting ``variable`` decided it."""
        self.setting = Setting(variable, value)
        return self


class InvalidArgument(GatewayError):
    """Raised when a request does not fit: ``problems`` lists what is wrong, ``omitted`` counts those left out of the list."""

    http_status = 400
    code = "INVALID_ARGUMENT"

    def __init__(self, message: str, problems: Sequence[Problem] = (), omitted: int = 0) -> None:
        super().__init__(message)
        self.problems = tuple(problems)
        self.omitted = omitted


class FailedPrecondition(GatewayError):
    """Raised when the server's state does not allow the request, such as a signature that the model does not have."""

    http_status = 400
    code = "FAILED_PRECONDITION"


class OutOfRange(GatewayError):
    """Raised when an operation of the model went past its valid range."""

    http_status = 400
    code = "OUT_OF_RANGE"


class Unauthenticated(GatewayError):
    """Raised when the caller is not known."""

    http_status = 401
    code = "UNAUTHENTICATED"


class PermissionDenied(GatewayError):
    """Raised when the caller is known but may not do this."""

    http_status = 403
    code = "PERMISSION_DENIED"


class NotFound(GatewayError):
    """Raised when there is no such model, version or route."""

    http_status = 404
    code = "NOT_FOUND"


class MethodNotAllowed(GatewayError):
    """Raised when the route exists for other methods, which ``allowed`` names."""

    http_status = 405
    code = "METHOD_NOT_ALLOWED"

    def __init__(self, message: str, allowed: Iterable[str]) -> None:
        super().__init__(message)
        self.allowed = tuple(allowed)


class RequestTimeout(GatewayError):
    """Raised when the client takes too long to send its request."""

    http_status = 408
    code = "REQUEST_TIMEOUT"


class AlreadyExists(GatewayError):
    """Raised when the backend was asked to make something that exists."""

    http_status = 409
    code = "ALREADY_EXISTS"


class Aborted(GatewayError):
    """Raised when the backend gave the request up for another one."""

    http_status = 409
    code = "ABORTED"


class PayloadTooLarge(GatewayError):
    """Raised when the HTTP body is over the configured limit."""

    http_status = 413
    code = "PAYLOAD_TOO_LARGE"


class UriTooLong(GatewayError):
    """Raised when the target of an HTTP request, its path and query, is over the limit."""

    http_status = 414
    code = "URI_TOO_LONG"


class ExpectationFailed(GatewayError):
    """Raised when the Expect header of an HTTP request names something other than 100-continue."""

    http_status = 417
    code = "EXPECTATION_FAILED"


class ResourceExhausted(GatewayError):
    """Raised when a quota or the backend's memory is used up."""

    http_status = 429
    code = "RESOURCE_EXHAUSTED"


class RateLimited(ResourceExhausted):
    """Raised when a limit of the caller is used up; the answer has ``headers``, which say which and until when."""

    def __init__(self, message: str, headers: Sequence[tuple[str, str]]) -> None:
        super().__init__(message)
        self.headers = tuple(headers)


class HeaderFieldsTooLarge(GatewayError):
    """Raised when the head of an HTTP request has too many bytes or too many fields."""

    http_status = 431
    code = "HEADER_FIELDS_TOO_LARGE"


class Cancelled(GatewayError):
    """Raised when the call was cancelled before it ended, such as by a client that went away."""

    http_status = 499
    code = "CANCELLED"


class Unknown(GatewayError):
    """Raised when the backend failed without saying of what kind."""

    http_status = 500
    code = "UNKNOWN"


class Internal(GatewayError):
    """Raised when an invariant is broken, here or in the backend."""

    http_status = 500
    code = "INTERNAL"


class DataLoss(GatewayError):
    """Raised when the backend lost or could not read data."""

    http_status = 500
    code = "DATA_LOSS"


class Unimplemented(GatewayError):
    """Raised when neither the gateway nor the backend can do this, such as a dtype that has no JSON form."""

    http_status = 501
    code = "UNIMPLEMENTED"


class Unavailable(GatewayError):
    """Raised when the backend cannot be reached, or too much waits for it; ``retry_after_s`` says when to try again."""

    http_status = 503
    code = "UNAVAILABLE"

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DeadlineExceeded(GatewayError):
    """Raised when the request's time is used up."""

    http_status = 504
    code = "DEADLINE_EXCEEDED"
