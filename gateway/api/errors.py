"""Any error -> the dialect's JSON. A client never sees a stack trace."""

import orjson
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.exceptions import MethodNotAllowed as WrongMethod
from werkzeug.exceptions import NotFound as NoRoute

from gateway import errors
from gateway.api import body, requests
from gateway.api.tfserving.path import malformed
from gateway.errors import GatewayError
from gateway.telemetry.logs import logger

log = logger("request")

_SIMPLE_CODES = {
    400: "BAD_INPUT",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    408: "REQUEST_TIMEOUT",
    413: "PAYLOAD_TOO_LARGE",
}


class InternalError(errors.Internal):
    """Raised for what nobody foresaw: the client learns the request's id, the log has the rest."""


def init_app(app: Flask) -> None:
    """Answer every error of ``app`` in the dialect of the route that was asked for."""

    @app.errorhandler(GatewayError)
    def refuse(error: GatewayError) -> Response:
        return _answer(error)

    @app.errorhandler(HTTPException)
    def refuse_http(error: HTTPException) -> Response:
        return _answer(_from_http(error))

    @app.errorhandler(Exception)
    def fail(error: Exception) -> Response:
        ours = requests.current()
        log.error("request.failed", id=ours.id, path=ours.path, exc_info=error)
        return _answer(InternalError(f"something went wrong here; the log knows more of request {ours.id}"))


def _answer(error: GatewayError) -> Response:
    ours = requests.current()
    ours.error_code, ours.setting = error.code, error.setting
    response = Response(render(error, request.path), status=error.http_status, content_type="application/json")
    if isinstance(error, errors.Unavailable):
        response.headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, errors.MethodNotAllowed):
        response.headers["Allow"] = ", ".join(error.allowed)
    return response


def render(error: GatewayError, path: str) -> bytes:
    """The error body in the dialect of ``path``."""
    is_openinference = path == "/v2" or path.startswith("/v2/")
    return message_json(error) if _is_tfserving(path) or is_openinference else simple_json(error)


def _is_tfserving(path: str) -> bool:
    return path[:4].lower() == "/v1/"


def message_json(error: GatewayError) -> bytes:
    """The error body of TensorFlow Serving's REST port and of the Open Inference Protocol: an object with the key ``error``."""
    return orjson.dumps({"error": error.message})


def simple_json(error: GatewayError) -> bytes:
    """The error body of ``/predict`` and of every route that belongs to no other dialect."""
    document: dict[str, object] = {"ok": False, "status": "error", "error": _simple_code(error), "message": error.message}
    document["details"] = _details(error)
    if isinstance(error, errors.InvalidArgument) and error.omitted:
        document["omitted"] = error.omitted
    return orjson.dumps(document)


def _simple_code(error: GatewayError) -> str:
    if isinstance(error, InternalError):
        return "INTERNAL_ERROR"
    if error.http_status >= 500:
        return "PREDICT_FAILED"
    return _SIMPLE_CODES.get(error.http_status, error.code)


def _details(error: GatewayError) -> list[dict[str, str]]:
    if not isinstance(error, errors.InvalidArgument):
        return []
    return [{"pointer": problem.pointer, "expected": problem.expected, "got": problem.got} for problem in error.problems]


def _from_http(error: HTTPException) -> GatewayError:
    """What Flask refuses by itself, as an error of the tree."""
    if isinstance(error, NoRoute):
        if _is_tfserving(request.path):
            return malformed(request.method, request.path)
        return errors.NotFound(f"there is no route {request.path}")
    if isinstance(error, WrongMethod):
        allowed = sorted(error.valid_methods or ())
        return errors.MethodNotAllowed(f"{request.path} takes {', '.join(allowed)}, not {request.method}", allowed)
    if isinstance(error, RequestEntityTooLarge):
        return body.too_large(request.max_content_length or 0)
    return errors.InvalidArgument(error.description or error.name)
