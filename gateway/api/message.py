"""Requests and responses: Flask's own, made with less work. Whoever looks at one sees what Flask's has."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

import flask
from werkzeug.datastructures import Headers

from gateway.api.budget import Budget
from gateway.errors import Setting

# What werkzeug finds out for each request, and hardly anyone asks for.
_LOOKED_UP: Final = frozenset(("scheme", "server", "root_path", "query_string", "headers", "remote_addr"))

NO_SHARES: Final[Mapping[Budget, int]] = MappingProxyType({})


class Request(flask.Request):
    """A request, and a place for what belongs to it until it is answered (``requests``)."""

    id: str = ""
    body_limit: int = 0
    deadline: Any
    started_s: float
    parse_s: float = 0.0
    trace: Any = None
    error_code: str | None = None
    setting: Setting | None = None  # that decided its refusal
    shares: Mapping[Budget, int] = NO_SHARES  # what ``body_bounds`` gives back when the request ends

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
    """A response. One that was made ``whole``, and not changed since, goes to the server as it is."""

    _whole: "tuple[list[bytes], tuple[str, str], int] | None" = None  # its body, its length, and how many headers it has

    @classmethod
    def whole(cls, body: bytes, content_type: str = "application/json") -> "Response":
        """As ``Response(body, content_type=content_type)``."""
        response, length = cls.__new__(cls), ("Content-Length", str(len(body)))
        response.headers = Headers()
        response.headers._list = [("Content-Type", content_type), length]
        response.response = pieces = [body]
        response.direct_passthrough = False
        response._status, response._status_code = "200 OK", 200
        response._on_close = []
        response._whole = (pieces, length, 2)
        return response

    def add_header(self, name: str, value: str) -> None:
        """As ``headers.add``, for a value that is known to be one."""
        self.headers._list.append((name, value))
        if self._whole is not None:
            pieces, length, count = self._whole
            self._whole = (pieces, length, count + 1)

    def _is_as_made(self) -> bool:
        """Whether there is nothing that werkzeug would have to look after."""
        if self._whole is None or self._on_close or self._status_code != 200:
            return False
        pieces, length, count = self._whole
        headers = self.headers._list
        return self.response is pieces and len(headers) == count and headers[1] is length

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        """As a WSGI application."""
        if self._whole is None or not self._is_as_made() or environ["REQUEST_METHOD"] == "HEAD":
            return super().__call__(environ, start_response)
        start_response(self._status, self.headers._list.copy())
        return self._whole[0]
