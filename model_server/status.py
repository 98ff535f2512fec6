"""The one error that leaves this package: a gRPC code with a text, as absl::Status is upstream."""

from grpc import StatusCode

_BY_NUMBER = {code.value[0]: code for code in StatusCode}
_MAX_MESSAGE_BYTES = 1024


class ServingError(Exception):
    """A request, a load or a configuration that failed, and what the client is told about it."""

    def __init__(self, code: StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def number(self) -> int:
        """The canonical code as a number."""
        number: int = self.code.value[0]
        return number

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}"


def invalid_argument(message: str) -> ServingError:
    """Build an INVALID_ARGUMENT."""
    return ServingError(StatusCode.INVALID_ARGUMENT, message)


def failed_precondition(message: str) -> ServingError:
    """Build a FAILED_PRECONDITION."""
    return ServingError(StatusCode.FAILED_PRECONDITION, message)


def not_found(message: str) -> ServingError:
    """Build a NOT_FOUND."""
    return ServingError(StatusCode.NOT_FOUND, message)


def from_number(number: int, message: str) -> ServingError:
    """Build the error of a canonical code number; an unknown number is UNKNOWN."""
    return ServingError(_BY_NUMBER.get(number, StatusCode.UNKNOWN), message)


def truncated(message: str) -> str:
    """Cut a status text at 1024 bytes as upstream's ToGRPCStatus does: longer ones overflow HTTP/2 metadata."""
    encoded = message.encode()
    if len(encoded) <= _MAX_MESSAGE_BYTES:
        return message
    return encoded[:_MAX_MESSAGE_BYTES].decode(errors="ignore") + "...TRUNCATED"
