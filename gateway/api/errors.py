"""An error of the tree -> an answer in the dialect of its path. A client never sees a stack trace."""

from typing import Any, Final
from urllib.parse import unquote

import orjson

from gateway import errors
from gateway.access.key_text import PREFIX, hide_secrets
from gateway.call import Answer
from gateway.errors import GatewayError

JSON: Final = "application/json"

_SIMPLE_CODES = {
    400: "BAD_INPUT",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    408: "REQUEST_TIMEOUT",
    413: "PAYLOAD_TOO_LARGE",
}


class InternalError(errors.Internal):
    """Raised for an unforeseen failure: the client gets the request's id, the log has the rest."""


def json_answer(content: Any, status: int = 200) -> Answer:
    """``content`` as JSON."""
    return Answer(status, orjson.dumps(content), [("Content-Type", JSON)])


def to_answer(error: GatewayError, path: str) -> Answer:
    """The answer to a request for ``path`` that is refused with ``error``."""
    answer = Answer(error.http_status, error_body(error, path), [("Content-Type", JSON)])
    if isinstance(error, errors.Unavailable):
        answer.headers.append(("Retry-After", str(error.retry_after_s)))
    if isinstance(error, errors.Unauthenticated | errors.RateLimited):
        answer.headers.extend(error.headers)
    if isinstance(error, errors.MethodNotAllowed):
        answer.headers.append(("Allow", ", ".join(error.allowed)))
    return answer


def is_tfserving(path: str) -> bool:
    """Whether ``path``, as it was sent, is one of TensorFlow Serving's REST port."""
    return _as_routed(path)[:4].lower() == "/v1/"


def error_body(error: GatewayError, path: str) -> bytes:
    """The error body in the dialect of ``path``.

    Under ``/v1/`` and ``/v2`` it is an object with the key ``error``, as TensorFlow Serving and the Open Inference Protocol
    have it; ``/predict`` and every route that belongs to no other dialect have a longer one. A key that the client has put
    into its path or body is not repeated.
    """
    body = _dumped(error, path)
    return hide_secrets(body.decode()).encode() if PREFIX.encode() in body else body


def _dumped(error: GatewayError, path: str) -> bytes:
    routed = _as_routed(path)
    if is_tfserving(path) or routed == "/v2" or routed.startswith("/v2/"):
        return orjson.dumps({"error": error.message})
    document: dict[str, Any] = {"ok": False, "status": "error", "error": _simple_code(error), "message": error.message}
    document["details"] = error.problems if isinstance(error, errors.InvalidArgument) else []
    if isinstance(error, errors.InvalidArgument) and error.omitted:
        document["omitted"] = error.omitted
    return orjson.dumps(document)


def _as_routed(path: str) -> str:
    """``path`` as werkzeug compares it with the rules: unescaped, and with one slash at its front."""
    plain = unquote(path) if "%" in path else path
    return f"/{plain.lstrip('/')}" if plain.startswith("//") else plain


def _simple_code(error: GatewayError) -> str:
    if isinstance(error, InternalError):
        return "INTERNAL_ERROR"
    if error.http_status >= 500:
        return "PREDICT_FAILED"
    return _SIMPLE_CODES.get(error.http_status, error.code)
