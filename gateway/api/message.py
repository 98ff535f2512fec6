"""Requests and responses: Flask's own, made with less work. Whoever looks at one sees what Flask's has."""

from collections.abc import Iterable
from typing import Any, Final

import flask
from werkzeug.datastructures import Headers

# What werkzeug finds out for each request, and hardly anyone asks for.
_LOOKED_UP: Final = frozenset(("scheme", "server", "root_path", "query_string", "headers", "remote_addr"))


class Request(flask.Request):
    """A request, and a place for what belongs to it until it is answered (``requests``)."""

    id: str = ""
    body_limit: int = 0
    deadline: Any
    started_s: float
    parse_s: float = 0.0
    trace: Any = None
    error_code: str | None = None
    holds_large_body: bool = False

    def __init__(self, environ: dict[str, Any], populate_request: bool = True, shallow: bool = False) -> None:
        # Not super().__init__(): see __getattr__.
        self.environ = environ
        self.shallow = shallow
        self.method = environ.get("REQUEST_METHOD", "GET").upper()
        path = environ.get("PATH_INFO") or ""
        self.path = "/" + (path if path.isascii() else path.encode("latin-1").decode(errors="replace")).lstrip("/")
        if populate_request and not shallow:
            environ["werkzeug.request"] = self

    def __getattr__(self, name: str) -> Any:
        if name not in _LOOKED_UP:
            raise AttributeError(f"{type(self).__name__} has no attribute {name}", name=name, obj=self)
        whole = flask.Request(self.environ, populate_request=False)
        self.__dict__.update({looked_up: getattr(whole, looked_up) for looked_up in _LOOKED_UP - self.__dict__.keys()})
        return self.__dict__[name]


class Response(flask.Response):
    """A response. One that is made ``whole`` goes to the server as it is."""

    is_whole = False

    @classmethod
    def whole(cls, body: bytes, content_type: str = "application/json") -> "Response":
        """As ``Response(body, content_type=content_type)``."""
        response = cls.__new__(cls)
        response.headers = Headers()
        response.headers._list = [("Content-Type", content_type), ("Content-Length", str(len(body)))]
        response.response = [body]
        response.direct_passthrough = False
        response._status, response._status_code = "200 OK", 200
        response._on_close = []
        response.is_whole = True
        return response

    def add_header(self, name: str, value: str) -> None:
        """As ``headers.add``, for a value that is known to be one."""
        self.headers._list.append((name, value))

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        """As a WSGI application."""
        body = self.response
        if self.is_whole and type(body) is list and not self._on_close and environ["REQUEST_METHOD"] != "HEAD":
            start_response(self._status, self.headers._list.copy())
            return body
        return super().__call__(environ, start_response)
