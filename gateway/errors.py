"""Everything that can go wrong with a request: a GatewayError of one of the classes below, in the order of their HTTP statuses.

Each class has its HTTP status and its canonical code name. The names are those of gRPC, and the pairs those of
TensorFlow Serving's REST port (``util/net_http/server/public/response_code_enum.h``), except for the HTTP-only ones: 405, 408,
412, 413, 414, 417 and 431. Each dialect renders the errors in its own form (``api/errors.py``).
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


@dataclass(frozen=True, slots=True)
class UnknownModel:
    """A name that no model has, and the names of all models that are served."""

    name: str
    served: tuple[str, ...]


class GatewayError(Exception):
    """An error that answers a request. ``message`` may be shown to the client.

    ``setting`` is for the operator only: the setting that decided the refusal, or None. ``unknown_model`` is set when there is
    no model of the name that was asked for: the answer then also names some of those that its caller may know of.
    """

    http_status: ClassVar[int] = 500
    code: ClassVar[str] = "INTERNAL"
    setting: Setting | None = None
    unknown_model: UnknownModel | None = None

    def __init_subclass__(cls, http_status: int | None = None, code: str | None = None) -> None:
        cls.http_status = http_status or cls.http_status
        cls.code = code or cls.code

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def decided_by(self, variable: str, value: int | str) -> Self:
        """This error, which now says that the setting ``variable`` decided it."""
        self.setting = Setting(variable, value)
        return self


class InvalidArgument(GatewayError, http_status=400, code="INVALID_ARGUMENT"):
    """Raised when a request does not fit: ``problems`` lists what is wrong, ``omitted`` counts those left out of the list."""

    def __init__(self, message: str, problems: Sequence[Problem] = (), omitted: int = 0) -> None:
        super().__init__(message)
        self.problems = tuple(problems)
        self.omitted = omitted


class FailedPrecondition(GatewayError, http_status=400, code="FAILED_PRECONDITION"):
    """Raised when the server's state does not allow the request, such as a signature that the model does not have."""


class OutOfRange(GatewayError, http_status=400, code="OUT_OF_RANGE"):
    """Raised when an operation of the model went past its valid range."""


class Unauthenticated(GatewayError, http_status=401, code="UNAUTHENTICATED"):
    """Raised when the caller is not known; ``reason`` says why not in one word, for the metrics."""

    def __init__(self, message: str, reason: str = "unknown") -> None:
        super().__init__(message)
        self.reason = reason

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The headers of the answer: how to authenticate (RFC 6750, section 3)."""
        challenge = "Bearer" if self.reason == "missing" else 'Bearer error="invalid_token"'
        return (("WWW-Authenticate", challenge),)


class PermissionDenied(GatewayError, http_status=403, code="PERMISSION_DENIED"):
    """Raised when the caller is known but may not do this."""


class NotFound(GatewayError, http_status=404, code="NOT_FOUND"):
    """Raised when there is no such model, version or route."""


class MethodNotAllowed(GatewayError, http_status=405, code="METHOD_NOT_ALLOWED"):
    """Raised when the route exists for other methods, which ``allowed`` names."""

    def __init__(self, message: str, allowed: Iterable[str]) -> None:
        super().__init__(message)
        self.allowed = tuple(allowed)


class RequestTimeout(GatewayError, http_status=408, code="REQUEST_TIMEOUT"):
    """Raised when the client takes too long to send its request."""


class AlreadyExists(GatewayError, http_status=409, code="ALREADY_EXISTS"):
    """Raised when the backend was asked to make something that exists."""


class Aborted(GatewayError, http_status=409, code="ABORTED"):
    """Raised when the backend gave the request up for another one."""


class PreconditionFailed(GatewayError, http_status=412, code="PRECONDITION_FAILED"):
    """Raised when the If-Match of a request names what is not the newest any more; the message says what has changed."""


class PayloadTooLarge(GatewayError, http_status=413, code="PAYLOAD_TOO_LARGE"):
    """Raised when the HTTP body is over the configured limit."""


def body_too_large(limit: int, what: str = "the body is over") -> PayloadTooLarge:
    """The error for a body of more than ``limit`` bytes, the most that it may have."""
    return PayloadTooLarge(f"{what} the limit of {limit} bytes").decided_by("GATEWAY_MAX_BODY_BYTES", limit)


class UriTooLong(GatewayError, http_status=414, code="URI_TOO_LONG"):
    """Raised when the target of an HTTP request, its path and query, is over the limit."""


class ExpectationFailed(GatewayError, http_status=417, code="EXPECTATION_FAILED"):
    """Raised when the Expect header of an HTTP request names something other than 100-continue."""


class ResourceExhausted(GatewayError, http_status=429, code="RESOURCE_EXHAUSTED"):
    """Raised when a quota or the backend's memory is used up."""


class RateLimited(ResourceExhausted):
    """Raised when a limit of the caller is used up; the answer has ``headers``, which say which and until when."""

    def __init__(self, message: str, headers: Sequence[tuple[str, str]]) -> None:
        super().__init__(message)
        self.headers = tuple(headers)


class HeaderFieldsTooLarge(GatewayError, http_status=431, code="HEADER_FIELDS_TOO_LARGE"):
    """Raised when the head of an HTTP request has too many bytes or too many fields."""


class Cancelled(GatewayError, http_status=499, code="CANCELLED"):
    """Raised when the call was cancelled before it ended, such as by a client that went away."""


class Unknown(GatewayError, http_status=500, code="UNKNOWN"):
    """Raised when the backend failed without saying of what kind."""


class Internal(GatewayError, http_status=500, code="INTERNAL"):
    """Raised when an invariant is broken, here or in the backend."""


class DataLoss(GatewayError, http_status=500, code="DATA_LOSS"):
    """Raised when the backend lost or could not read data."""


class Unimplemented(GatewayError, http_status=501, code="UNIMPLEMENTED"):
    """Raised when neither the gateway nor the backend can do this, such as a dtype that has no JSON form."""


class Unavailable(GatewayError, http_status=503, code="UNAVAILABLE"):
    """Raised when the backend cannot be reached, or too much waits for it; ``retry_after_s`` says when to try again."""

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


def too_many_in_work(limit: int) -> Unavailable:
    """The error for a request beyond the ``limit`` of those that one worker handles at a time."""
    return Unavailable("too many requests are in work here").decided_by("GATEWAY_MAX_IN_FLIGHT", limit)


def out_of_memory() -> Unavailable:
    """The error for a request that finds no memory."""
    return Unavailable("there is not enough memory here for this request")


class DeadlineExceeded(GatewayError, http_status=504, code="DEADLINE_EXCEEDED"):
    """Raised when the request's time is used up."""
