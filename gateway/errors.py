"""Everything that can go wrong with a request: a GatewayError of one of the classes below, in the order of their HTTP statuses.

Each class has its HTTP status and its canonical code name. The names are those of gRPC, and the pairs those of
TensorFlow Serving's REST port (``util/net_http/server/public/response_code_enum.h``), except for the HTTP-only ones: 405, 408,
413, 414, 417 and 431. Each dialect renders the errors in its own form (``api/errors.py``).
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

    http_status, code = 400, "INVALID_ARGUMENT"

    def __init__(self, message: str, problems: Sequence[Problem] = (), omitted: int = 0) -> None:
        super().__init__(message)
        self.problems = tuple(problems)
        self.omitted = omitted


class FailedPrecondition(GatewayError):
    """Raised when the server's state does not allow the request, such as a signature that the model does not have."""

    http_status, code = 400, "FAILED_PRECONDITION"


class OutOfRange(GatewayError):
    """Raised when an operation of the model went past its valid range."""

    http_status, code = 400, "OUT_OF_RANGE"


class Unauthenticated(GatewayError):
    """Raised when the caller is not known."""

    http_status, code = 401, "UNAUTHENTICATED"


class PermissionDenied(GatewayError):
    """Raised when the caller is known but may not do this."""

    http_status, code = 403, "PERMISSION_DENIED"


class NotFound(GatewayError):
    """Raised when there is no such model, version or route."""

    http_status, code = 404, "NOT_FOUND"


class MethodNotAllowed(GatewayError):
    """Raised when the route exists for other methods, which ``allowed`` names."""

    http_status, code = 405, "METHOD_NOT_ALLOWED"

    def __init__(self, message: str, allowed: Iterable[str]) -> None:
        super().__init__(message)
        self.allowed = tuple(allowed)


class RequestTimeout(GatewayError):
    """Raised when the client takes too long to send its request."""

    http_status, code = 408, "REQUEST_TIMEOUT"


class AlreadyExists(GatewayError):
    """Raised when the backend was asked to make something that exists."""

    http_status, code = 409, "ALREADY_EXISTS"


class Aborted(GatewayError):
    """Raised when the backend gave the request up for another one."""

    http_status, code = 409, "ABORTED"


class PayloadTooLarge(GatewayError):
    """Raised when the HTTP body is over the configured limit."""

    http_status, code = 413, "PAYLOAD_TOO_LARGE"


class UriTooLong(GatewayError):
    """Raised when the target of an HTTP request, its path and query, is over the limit."""

    http_status, code = 414, "URI_TOO_LONG"


class ExpectationFailed(GatewayError):
    """Raised when the Expect header of an HTTP request names something other than 100-continue."""

    http_status, code = 417, "EXPECTATION_FAILED"


class ResourceExhausted(GatewayError):
    """Raised when a quota or the backend's memory is used up."""

    http_status, code = 429, "RESOURCE_EXHAUSTED"


class HeaderFieldsTooLarge(GatewayError):
    """Raised when the head of an HTTP request has too many bytes or too many fields."""

    http_status, code = 431, "HEADER_FIELDS_TOO_LARGE"


class Cancelled(GatewayError):
    """Raised when the call was cancelled before it ended, such as by a client that went away."""

    http_status, code = 499, "CANCELLED"


class Unknown(GatewayError):
    """Raised when the backend failed without saying of what kind."""

    http_status, code = 500, "UNKNOWN"


class Internal(GatewayError):
    """Raised when an invariant is broken, here or in the backend."""

    http_status, code = 500, "INTERNAL"


class DataLoss(GatewayError):
    """Raised when the backend lost or could not read data."""

    http_status, code = 500, "DATA_LOSS"


class Unimplemented(GatewayError):
    """Raised when neither the gateway nor the backend can do this, such as a dtype that has no JSON form."""

    http_status, code = 501, "UNIMPLEMENTED"


class Unavailable(GatewayError):
    """Raised when the backend cannot be reached, or too much waits for it; ``retry_after_s`` says when to try again."""

    http_status, code = 503, "UNAVAILABLE"

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DeadlineExceeded(GatewayError):
    """Raised when the request's time is used up."""

    http_status, code = 504, "DEADLINE_EXCEEDED"
