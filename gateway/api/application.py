"""Flask, without what no route here uses and every request would pay for: sessions, hosts, async views, signals to nobody.

What a route, a hook or an extension sees of Flask is as it always is.
"""

from collections.abc import Callable, Iterable, Mapping
from contextvars import Token
from functools import cached_property, lru_cache
from typing import Any, Final

import flask
from flask import signals
from flask.ctx import AppContext, RequestContext
from flask.globals import _cv_app, _cv_request
from flask.sessions import NullSession, SessionInterface, SessionMixin
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter, Rule

from gateway.api.message import Request, Response

_REMEMBERED_PATHS: Final = 512
_PATH_LENGTH: Final = 200  # of those that are remembered
_KEPT_CONTEXT: Final = "werkzeug.debug.preserve_context"
_SIGNALS: Final = (
    signals.appcontext_popped,
    signals.appcontext_pushed,
    signals.appcontext_tearing_down,
    signals.request_finished,
    signals.request_started,
    signals.request_tearing_down,
)


class _NoSession(SessionInterface):
    """There are no cookies: one session, always empty and never written to, is everyone's."""

    session = NullSession()

    def open_session(self, app: flask.Flask, request: flask.Request) -> SessionMixin:
        return self.session

    def is_null_session(self, obj: object) -> bool:
        return True


class _Context(RequestContext):
    """Flask's context of one request, which has found the route and looks for no others unless it is asked."""

    def __init__(
        self, app: "Application", environ: Any, request: flask.Request | None = None, session: SessionMixin | None = None
    ) -> None:
        # Not super().__init__(), which makes the URL adapter.
        self.app = app
        self.request = app.request_class(environ) if request is None else request
        self.request.json_module = app.json
        self.flashes = None
        self._session = session or _NoSession.session
        self._after_request_functions: list[Callable[..., Any]] = []
        self._cv_tokens: list[tuple[Token[RequestContext], AppContext | None]] = []

    @cached_property
    def url_adapter(self) -> MapAdapter | None:  # type: ignore[override]
        """As Flask's."""
        return self.app.create_url_adapter(self.request)

    def match_request(self) -> None:
        """Find the route."""
        request, app = self.request, self.app
        find = app.find if len(request.path) <= _PATH_LENGTH else app.search  # type: ignore[attr-defined]
        try:
            request.url_rule, values = find(request.path, request.method)
        except HTTPException as error:
            request.routing_exception = error
        else:
            request.view_args = dict(values)


class Application(flask.Flask):
    """The gateway's Flask."""

    request_class = Request
    response_class = Response
    session_interface = _NoSession()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.find = lru_cache(_REMEMBERED_PATHS)(self.search)
        # What Flask offers and only Flask's own way through a request looks after.
        receivers = [signal.receivers for signal in _SIGNALS]
        self._extras = (*receivers, self.teardown_appcontext_funcs, self.url_value_preprocessors)

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Every view and hook here is a plain function."""
        return func

    def request_context(self, environ: Any) -> RequestContext:
        """The context of a request."""
        return _Context(self, environ)

    def create_url_adapter(self, request: flask.Request | None) -> MapAdapter | None:
        """The routes, which are the same whatever host was named."""
        if request is None:
            return None
        routes = self._routes(request.path, request.method)
        routes.query_args = request.query_string.decode("latin-1")
        return routes

    def search(self, path: str, method: str) -> tuple[Rule, Mapping[str, Any]]:
        """The route of a path, and the values in it. Raises werkzeug's HTTPException."""
        return self._routes(path, method).match(return_rule=True)

    def _routes(self, path: str, method: str) -> MapAdapter:
        return MapAdapter(self.url_map, "localhost", "/", "", "http", path, method)

    def wsgi_app(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        """As of Flask, and by way of Flask's own when there is more to do than what hooks of the whole application do."""
        is_within_another = _cv_app.get(None) is not None
        if is_within_another or any(self._extras) or _KEPT_CONTEXT in environ or not self._has_only_general_hooks:
            return super().wsgi_app(environ, start_response)
        context, app_context = _Context(self, environ), AppContext(self)
        app_context._cv_tokens.append(_cv_app.set(app_context))
        context._cv_tokens.append((_cv_request.set(context), app_context))
        error: BaseException | None = None
        try:
            try:
                context.match_request()
                response = self._dispatch(context)
            except Exception as raised:  # noqa: BLE001 - as Flask: an application raises nothing
                error = raised
                response = self.handle_exception(raised)
            except BaseException as raised:
                error = raised
                raise
            return response(environ, start_response)
        finally:
            self._end(context, app_context, error)
            error = None  # which holds this frame, and with it the request

    @cached_property
    def _has_only_general_hooks(self) -> bool:
        """Whether no blueprint has hooks of its own; with the first request the last is known."""
        self._got_first_request = True
        hooks = (self.before_request_funcs, self.after_request_funcs, self.teardown_request_funcs)
        return all(of_blueprint is None for funcs in hooks for of_blueprint in funcs)

    def _dispatch(self, context: RequestContext) -> flask.Response:
        request = context.request
        try:
            answer = self._first_answer()
            if answer is None:
                answer = self._view(request)
        except Exception as error:  # noqa: BLE001 - as Flask: a handler may be there for it
            answer = self.handle_user_exception(error)
            _let_go_of_frames(error)
        response: Any = answer if type(answer) is self.response_class else self.make_response(answer)
        for hook in context._after_request_functions:
            response = hook(response)
        for hook in reversed(self.after_request_funcs[None]):
            response = hook(response)
        return response  # type: ignore[no-any-return]

    def _first_answer(self) -> Any:
        """What the first hook answers that does."""
        for hook in self.before_request_funcs[None]:
            answer = hook()
            if answer is not None:
                return answer
        return None

    def _view(self, request: flask.Request) -> Any:
        rule = request.url_rule
        if rule is None or request.method == "OPTIONS":
            return self.dispatch_request()
        return self.view_functions[rule.endpoint](**request.view_args or {})

    def _end(self, context: RequestContext, app_context: AppContext, error: BaseException | None) -> None:
        """What popping the contexts does."""
        if len(context._cv_tokens) != 1 or len(app_context._cv_tokens) != 1:
            context.pop(error)  # someone else holds it too
            return
        try:
            for hook in reversed(self.teardown_request_funcs[None]):
                hook(error)
            if "files" in context.request.__dict__:
                context.request.close()
        finally:
            _cv_request.reset(context._cv_tokens.pop()[0])
            _cv_app.reset(app_context._cv_tokens.pop())
            context.request.environ["werkzeug.request"] = None


def _let_go_of_frames(error: BaseException) -> None:
    """Of an error that is answered, so that its request's body is freed with it and not when Python next looks for cycles."""
    chain: BaseException | None = error
    while chain is not None and chain.__traceback__ is not None:
        chain.__traceback__ = None
        chain = chain.__cause__ or chain.__context__
