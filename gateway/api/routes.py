"""The table of routes: Flask has all of them, for any WSGI server; our own server asks it for those that it answers itself."""

import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, Final, Protocol, TypeAlias
from urllib.parse import quote, unquote, urlsplit

import flask
from werkzeug.exceptions import HTTPException, InternalServerError, RequestEntityTooLarge
from werkzeug.exceptions import MethodNotAllowed as WrongMethod
from werkzeug.exceptions import NotFound as NoRoute
from werkzeug.routing import Map, Rule

from gateway.api.edge import Edge
from gateway.api.errors import InternalError, is_tfserving
from gateway.call import ENVIRON_KEY, Answer, Call, Handler
from gateway.errors import GatewayError, InvalidArgument, MethodNotAllowed, NotFound, body_too_large

_REMEMBERED_PATHS: Final = 1024
_REMEMBERED_LENGTH: Final = 200  # of a path

ANY_KEY: Final = "*"
"""The scope of a route for which any valid key will do."""

Run: TypeAlias = Callable[[Coroutine[Any, Any, Answer]], Answer]
"""Runs a coroutine on the event loop of the process, from another thread."""


@dataclass(frozen=True, slots=True)
class Route:
    """What answers ``methods`` of the paths of ``rule``, in werkzeug's syntax.

    ``handler`` takes the call, and by name the variable parts of the rule. ``on_loop``: our own server answers it without
    Flask, so that it never waits for a thread. ``scope``: what a key must have for it, where there are keys, or ``ANY_KEY``;
    empty: it needs no key.
    ``answered_as``: a path of TensorFlow Serving's dialect in whose form all refusals are; empty: the form of its own path.
    """

    rule: str
    methods: tuple[str, ...]
    handler: Callable[..., Coroutine[Any, Any, Answer]]
    on_loop: bool = False
    scope: str = ""
    answered_as: str = ""

    def answering(self) -> Callable[..., Coroutine[Any, Any, Answer]]:
        """``handler``, for calls that know what they are answered as."""
        if not self.answered_as:
            return self.handler

        def answer(call: Call, **values: str) -> Coroutine[Any, Any, Answer]:
            call.answered_as = self.answered_as
            return self.handler(call, **values)

        return answer


class Room(Protocol):
    """Handlers that tell of their routes."""

    def routes(self) -> list[Route]:
        """The routes."""


class Routes:
    """All routes, for bodies of at most ``max_body_bytes``. ``tfserving`` answers paths under /v1/ that have no route."""

    def __init__(self, routes: Sequence[Route], edge: Edge, tfserving: Handler, max_body_bytes: int) -> None:
        self._routes = routes = [replace(route, handler=route.answering()) for route in routes]
        self._edge = edge
        self._tfserving = tfserving
        self._max_body_bytes = max_body_bytes
        rules = [Rule(route.rule, methods=route.methods, endpoint=route) for route in routes if route.on_loop]
        self._on_loop = Map(rules, merge_slashes=False, strict_slashes=False).bind("")
        self._remembered = lru_cache(_REMEMBERED_PATHS)(self._match)

    def find(self, call: Call) -> Handler | None:
        """The handler of ``call`` if it is answered on the event loop, otherwise None."""
        if call.method == "OPTIONS" and (preflight := self._edge.preflight(call)) is not None:
            return preflight
        path = call.path
        return self._remembered(call.method, path) if len(path) <= _REMEMBERED_LENGTH else self._match(call.method, path)

    def mount(self, app: flask.Flask, run: Run) -> None:
        """Add all routes to ``app``, whose views ``run`` the handlers."""
        # One byte more, because werkzeug cuts off what has no length and is over its limit.
        app.config["MAX_CONTENT_LENGTH"] = self._max_body_bytes + 1
        app.before_request(partial(self._answer_preflight, run))
        for number, route in enumerate(self._routes):
            view = partial(self._view, run, route)
            app.add_url_rule(route.rule, str(number), view, methods=route.methods, provide_automatic_options=False)
        app.register_error_handler(HTTPException, partial(self._refuse, run))
        _ignore_upgrade(app)

    def _match(self, method: str, path: str) -> Handler | None:
        try:
            route, values = self._on_loop.match(unquote(path, errors="replace"), method)
        except HTTPException:
            return None
        return partial(route.handler, **values) if values else route.handler

    def _view(self, run: Run, route: Route, **values: str) -> flask.Response:
        call = _call(flask.request)
        if len(call.body) > self._max_body_bytes:
            raise RequestEntityTooLarge
        return _response(run(self._edge.answer(call, partial(route.handler, **values))))

    def _answer_preflight(self, run: Run) -> flask.Response | None:
        """The answer to a preflight, for which no path has a route; None for any other request."""
        if flask.request.method != "OPTIONS":
            return None
        call = _call(flask.request, has_body=False)
        handler = self._edge.preflight(call)
        return None if handler is None else _response(run(self._edge.answer(call, handler)))

    def _refuse(self, run: Run, error: HTTPException) -> flask.Response:
        """The answer to a request that Flask itself refuses, in the dialect of its path."""
        # Flask's request holds the error, and the error's frames the request: a cycle, with the body in it.
        flask.request.routing_exception = None
        error.__traceback__ = None
        call = _call(flask.request, has_body=False)
        if isinstance(error, NoRoute | WrongMethod) and self._has_too_large_body(flask.request):
            error = RequestEntityTooLarge()
        elif isinstance(error, NoRoute | WrongMethod) and is_tfserving(call.path):
            return _response(run(self._edge.answer(call, self._tfserving)))
        return _response(self._edge.refuse(call, self._to_error(error, call)))

    def _has_too_large_body(self, request: flask.Request) -> bool:
        """Whether the body, which no view has read, is over the limit. What it holds is not looked at."""
        try:
            return ENVIRON_KEY not in request.environ and len(request.get_data(cache=False)) > self._max_body_bytes
        except HTTPException as error:
            return isinstance(error, RequestEntityTooLarge)

    def _to_error(self, error: HTTPException, call: Call) -> GatewayError:
        path = unquote(call.path, errors="replace")
        if isinstance(error, NoRoute):
            return NotFound(f"there is no route {path}")
        if isinstance(error, WrongMethod):
            allowed = sorted(error.valid_methods or ())
            return MethodNotAllowed(f"{path} takes {', '.join(allowed)}, not {call.method}", allowed)
        if isinstance(error, RequestEntityTooLarge):
            return body_too_large(self._max_body_bytes)
        if isinstance(error, InternalServerError):  # Flask has logged it
            return InternalError("something went wrong here; the log knows more")
        return InvalidArgument(error.description or error.name)


def _ignore_upgrade(app: flask.Flask) -> None:
    """Let ``app`` ignore the field ``Upgrade``, as a server may: werkzeug refuses a websocket where it has no rule for one."""
    answer = app.wsgi_app

    def wsgi_app(environ: dict[str, Any], start_response: Any) -> Any:
        environ.pop("HTTP_UPGRADE", None)
        return answer(environ, start_response)

    app.wsgi_app = wsgi_app  # type: ignore[method-assign]  # the way of Flask's documentation


def _call(request: flask.Request, *, has_body: bool = True) -> Call:
    """``request`` as a call. Raises HTTPException for a body that is over the limit."""
    given: Call | None = request.environ.get(ENVIRON_KEY)
    if given is not None:
        return given
    data = request.get_data(cache=False) if has_body else b""
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Call(
        request.method,
        _raw_path(request),
        request.query_string.decode("latin-1"),
        headers,
        data,
        complete_s=time.monotonic(),
        scheme=request.scheme,
        client=request.remote_addr or "",
    )


def _raw_path(request: flask.Request) -> str:
    """The path as the client sent it, if the server passes it on; otherwise with the percent escapes that it needs."""
    target: str = request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI") or ""
    if not target:
        return quote(request.path, safe="/:@!$&'()*+,;=~")
    # Two slashes at the front are part of the path, and no host.
    return target.partition("?")[0].partition("#")[0] if target.startswith("/") else urlsplit(target).path or "/"


def _response(answer: Answer) -> flask.Response:
    response = flask.Response(answer.body, status=answer.status)
    response.headers.clear()
    for name, value in answer.headers:
        response.headers.add(name, value)
    response.headers["Content-Length"] = str(len(answer.body))
    return response
