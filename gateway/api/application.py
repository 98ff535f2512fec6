"""Flask, without what no route here uses and every request would pay for: sessions, hosts, async views.

What a route, a hook or an extension sees of Flask is as it always is.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final

import flask
from flask.sessions import SecureCookieSession, SessionInterface, SessionMixin
from werkzeug.routing import MapAdapter, Rule

_REMEMBERED_PATHS: Final = 512
_PATH_LENGTH: Final = 200  # of those that are remembered


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


class Response(flask.Response):
    """A response. One that is a whole body with its headers goes to the server as it is."""

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        """As a WSGI application."""
        body = self.response
        is_whole = type(body) is list and environ["REQUEST_METHOD"] != "HEAD" and self.status_code not in (204, 304)
        if not is_whole or self._on_close or "Location" in self.headers:
            return super().__call__(environ, start_response)
        start_response(self.status, self.headers.to_wsgi_list())
        return body  # type: ignore[return-value]  # set_data made bytes of it


class _NoSession(SessionInterface):
    """There are no cookies: one session, always empty, is everyone's."""

    _session = SecureCookieSession()

    def open_session(self, app: flask.Flask, request: flask.Request) -> SessionMixin:
        return self._session

    def is_null_session(self, obj: object) -> bool:
        return True


class _Routes(MapAdapter):
    """One request's view of the routes. Which of them a path means is remembered."""

    find: "Callable[[str, str], tuple[Rule, dict[str, Any]] | None]"

    def match(self, *args: Any, **kwargs: Any) -> Any:
        """As of ``MapAdapter``."""
        if args or kwargs != {"return_rule": True} or len(self.path_info) > _PATH_LENGTH:
            return super().match(*args, **kwargs)
        rule, values = self.find(self.path_info, self.default_method)  # type: ignore[misc]
        return rule, dict(values)

    def search(self) -> Any:
        """As ``match``, without memory."""
        return super().match(return_rule=True)


class Application(flask.Flask):
    """The gateway's Flask."""

    request_class = Request
    response_class = Response
    session_interface = _NoSession()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._find = lru_cache(_REMEMBERED_PATHS)(self._search)

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Every view and hook here is a plain function."""
        return func

    def create_url_adapter(self, request: flask.Request | None) -> MapAdapter | None:
        """The routes, which are the same whatever host was named."""
        if request is None:
            return None
        routes = self._routes(request.path, request.method)
        routes.query_args = request.query_string.decode("latin-1")
        routes.find = self._find
        return routes

    def _routes(self, path: str, method: str) -> _Routes:
        return _Routes(self.url_map, "localhost", "/", "", "http", path, method)

    def _search(self, path: str, method: str) -> Any:
        """Raises werkzeug's HTTPException, which is not remembered."""
        return self._routes(path, method).search()
