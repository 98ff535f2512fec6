"""The trimmed Flask does for routes and hooks what Flask does."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import flask
import pytest
from flask import signals
from werkzeug.exceptions import Conflict, HTTPException
from werkzeug.test import create_environ

from gateway.api.application import Application
from gateway.api.message import Response

Events = list[Any]


@pytest.fixture
def app() -> Application:
    app = Application("test", static_folder=None)

    @app.get("/things/<int:number>")
    def thing(number: int) -> Response:
        return Response(f"{number} {flask.request.args.get('q')}")

    @app.get("/empty/<int:status>")
    def empty(status: int) -> Response:
        return Response(b"", status=status)

    @app.get("/moved")
    def moved() -> object:
        return flask.redirect("/things/1")

    @app.get("/pieces")
    def pieces() -> Response:
        return Response(iter([b"a", b"b"]))

    return app


def test_values_of_a_remembered_path_are_each_request_s_own(app):
    client = app.test_client()
    assert client.get("/things/1?q=a").data == b"1 a"
    assert client.get("/things/1?q=b").data == b"1 b"
    assert client.get("/things/2").data == b"2 None"


def test_methods_of_a_remembered_path_are_told_apart(app):
    client = app.test_client()
    for _ in range(2):
        assert client.get("/things/1").status_code == 200
        wrong = client.post("/things/1")
        assert (wrong.status_code, set(wrong.headers["Allow"].split(", "))) == (405, {"GET", "HEAD", "OPTIONS"})
        assert client.options("/things/1").status_code == 200
        assert client.get("/nothing").status_code == 404


def test_paths_are_not_remembered_without_bound(app):
    client = app.test_client()
    for number in range(600):
        assert client.get(f"/things/{number}").status_code == 200
    assert client.get("/things/" + "1" * 300).status_code == 200
    assert app.find.cache_info().currsize <= 512


def test_a_head_request_gets_the_headers_alone(app):
    whole, head = app.test_client().get("/things/1"), app.test_client().head("/things/1")
    assert head.data == b""
    assert head.headers == whole.headers


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_has_no_body_has_no_length(app, status):
    answer = app.test_client().get(f"/empty/{status}")
    assert answer.status_code == status
    assert "Content-Length" not in answer.headers


def test_redirects_and_pieces_are_flask_s_own(app):
    assert app.test_client().get("/moved").headers["Location"] == "/things/1"
    assert app.test_client().get("/pieces").data == b"ab"


def test_there_are_no_sessions(app):
    @app.get("/session")
    def session() -> str:
        return str(dict(flask.session))

    answer = app.test_client().get("/session", headers={"Cookie": "session=abc"})
    assert (answer.data, answer.headers.get("Set-Cookie")) == (b"{}", None)


class Closely(Application):
    """Tells which requests went through Flask's own code."""

    flask_s_own = 0

    def full_dispatch_request(self) -> flask.Response:
        self.flask_s_own += 1
        return super().full_dispatch_request()


def ask(app: flask.Flask, events: Events, path: str, method: str = "GET", **arguments: Any) -> None:
    """Make a request, and note the answer, or what is raised, and that no context is left."""
    try:
        answer = app.test_client().open(path, method=method, **arguments)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is to be the same
        events.append(("raised", repr(error)))
    else:
        allowed = sorted(answer.headers.pop("Allow", "").split(", "))
        events.append(("answer", method, path, answer.status, answer.data, list(answer.headers), allowed))
    events.append(("contexts", flask.has_request_context(), flask.has_app_context()))


def note_hooks(on: flask.Flask | flask.Blueprint, events: Events, name: str) -> None:
    """Two hooks of each kind, which note what they see."""

    def before(number: int) -> None:
        events.append((name, "before", number, flask.request.endpoint, flask.request.view_args))

    def after(number: int, response: flask.Response) -> flask.Response:
        events.append((name, "after", number, response.status, flask.request.path))
        response.headers.add("X-After", f"{name} {number}")
        return response

    def teardown(number: int, error: BaseException | None) -> None:
        events.append((name, "teardown", number, repr(error), flask.request.path, flask.has_app_context()))

    for number in (1, 2):
        on.before_request(partial(before, number))
        on.after_request(partial(after, number))
        on.teardown_request(partial(teardown, number))


def add_views(app: flask.Flask, events: Events) -> None:
    """Views of every kind of answer, and of every kind of failure."""
    answers: dict[str, Callable[[], Any]] = {
        "text": lambda: "text",
        "bytes": lambda: b"bytes",
        "dict": lambda: {"a": 1},
        "list": lambda: [1],
        "tuple": lambda: ("text", 201, {"X-A": "1"}),
        "pieces": lambda: iter(["a", "b"]),
        "response": lambda: app.response_class("a", 202),
        "other_response": lambda: flask.Response("a", 202),
        "http_error": Conflict,
        "none": lambda: None,
        "number": lambda: 1,
        "abort": lambda: flask.abort(418),
        "abort_with": lambda: flask.abort(flask.make_response("mine", 409)),
        "moved": lambda: flask.redirect(flask.url_for("text", q="a b")),
    }
    for name, answer in answers.items():
        app.add_url_rule(f"/{name}", name, answer, methods=["GET", "POST"])

    def fail(kind: str) -> None:
        raise {"value": ValueError, "key": KeyError, "exit": SystemExit, "os": OSError}[kind](kind)

    app.add_url_rule("/fail/<kind>", "fail", fail)
    app.add_url_rule("/own_options", "own_options", lambda: "mine", methods=["OPTIONS"])
    app.add_url_rule("/defaults", "defaults", lambda number: f"{number}", defaults={"number": 5})
    app.add_url_rule("/numbers/<float:number>/<path:rest>", "values", lambda number, rest: f"{number} {rest}")


PATHS = [
    "/text",
    "/bytes",
    "/dict",
    "/list",
    "/tuple",
    "/pieces",
    "/response",
    "/other_response",
    "/http_error",
    "/none",
    "/number",
    "/abort",
    "/abort_with",
    "/moved",
    "/fail/value",
    "/fail/key",
    "/fail/exit",
    "/fail/os",
    "/own_options",
    "/defaults",
    "/numbers/1.5/a/b",
    "/numbers/a/b",
    "/nothing",
    "//text",
    "/",
]


def answers(app: flask.Flask, events: Events) -> None:
    add_views(app, events)
    note_hooks(app, events, "app")
    for path in PATHS:
        for method in ("GET", "HEAD", "POST", "OPTIONS", "DELETE", "BREW"):
            ask(app, events, path, method)


def errors_for_the_tests(app: flask.Flask, events: Events) -> None:
    """Where errors are not to become answers."""
    app.testing = True
    answers(app, events)


def trapped_errors(app: flask.Flask, events: Events) -> None:
    app.config.update(TRAP_HTTP_EXCEPTIONS=True)
    answers(app, events)


def a_hook_that_answers(app: flask.Flask, events: Events) -> None:
    add_views(app, events)
    note_hooks(app, events, "app")
    app.before_request(lambda: {"hook": 1} if "hook" in flask.request.args else None)
    note_hooks(app, events, "behind")
    for path in ("/text", "/nothing", "/fail/value"):
        ask(app, events, path)
        ask(app, events, f"{path}?hook")


def a_before_hook_that_fails(app: flask.Flask, events: Events) -> None:
    add_views(app, events)
    note_hooks(app, events, "app")
    app.before_request(lambda: flask.abort(403) if "abort" in flask.request.args else None)
    app.before_request(lambda: {}["key"] if "fail" in flask.request.args else None)
    for query in ("", "abort", "fail"):
        ask(app, events, f"/text?{query}")


def an_after_hook_that_fails(app: flask.Flask, events: Events) -> None:
    add_views(app, events)

    @app.after_request
    def fail(response: flask.Response) -> flask.Response:
        raise ValueError(response.status)

    note_hooks(app, events, "app")
    ask(app, events, "/text")
    ask(app, events, "/fail/key")


def an_after_hook_that_answers_otherwise(app: flask.Flask, events: Events) -> None:
    add_views(app, events)
    app.after_request(lambda response: flask.Response(f"instead of {response.status}", 299))
    note_hooks(app, events, "app")
    for path in ("/text", "/response", "/nothing"):
        ask(app, events, path)


def a_teardown_hook_that_fails(app: flask.Flask, events: Events) -> None:
    add_views(app, events)
    note_hooks(app, events, "before")

    @app.teardown_request
    def fail(error: BaseException | None) -> None:
        raise ValueError(repr(error))

    note_hooks(app, events, "behind")
    ask(app, events, "/text")
    ask(app, events, "/fail/key")
    ask(app, events, "/fail/exit")


def hooks_of_blueprints(app: flask.Flask, events: Events) -> None:
    outer, inner, bare = (flask.Blueprint(name, __name__, url_prefix=f"/{name}") for name in ("outer", "inner", "bare"))
    for blueprint in (outer, inner, bare):
        blueprint.add_url_rule("/<int:number>", "view", lambda number: f"{number} {flask.request.blueprint}")
    note_hooks(outer, events, "outer")
    note_hooks(inner, events, "inner")
    inner.errorhandler(ZeroDivisionError)(lambda error: ("divided", 400))
    inner.add_url_rule("/zero", "zero", lambda: str(1 // 0))
    outer.before_app_request(lambda: events.append("of all, by a blueprint"))
    outer.teardown_app_request(lambda error: events.append(("of all, by a blueprint", error)))
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    app.register_blueprint(bare)
    note_hooks(app, events, "app")
    add_views(app, events)
    for path in ("/outer/1", "/outer/inner/2", "/outer/inner/zero", "/bare/3", "/text", "/outer/nothing"):
        ask(app, events, path)


def blueprints_without_hooks(app: flask.Flask, events: Events) -> None:
    blueprint = flask.Blueprint("things", __name__, url_prefix="/things")
    blueprint.add_url_rule("/<int:number>", "thing", lambda number: flask.url_for(".thing", number=number + 1))
    blueprint.errorhandler(KeyError)(lambda error: (f"{error} {flask.request.blueprint}", 404))
    blueprint.add_url_rule("/fail", "fail", lambda: {}["key"])
    app.register_blueprint(blueprint)
    note_hooks(app, events, "app")
    for path in ("/things/1", "/things/fail", "/things/a"):
        ask(app, events, path)


def hooks_for_one_request(app: flask.Flask, events: Events) -> None:
    note_hooks(app, events, "app")

    @app.get("/once")
    def once() -> str:
        @flask.after_this_request
        def mark(response: flask.Response) -> flask.Response:
            events.append("once")
            response.headers["X-Once"] = "1"
            return response

        return "once"

    app.add_url_rule("/usual", "usual", lambda: "usual")
    for path in ("/once", "/usual", "/once"):
        ask(app, events, path)


def handlers_of_errors(app: flask.Flask, events: Events) -> None:
    add_views(app, events)
    note_hooks(app, events, "app")
    app.errorhandler(404)(lambda error: (f"handled {error.code}", 404))
    app.errorhandler(HTTPException)(lambda error: error.get_response())
    app.errorhandler(ValueError)(lambda error: {"value": str(error)})
    app.errorhandler(LookupError)(lambda error: ({"lookup": str(error)}, 410))
    app.errorhandler(500)(lambda error: (f"500 {error.original_exception!r}", 500))
    for path in PATHS:
        ask(app, events, path)
        ask(app, events, path, "DELETE")


def a_handler_of_errors_that_fails(app: flask.Flask, events: Events) -> None:
    add_views(app, events)
    note_hooks(app, events, "app")
    app.errorhandler(ValueError)(lambda error: {}["key"])
    ask(app, events, "/fail/value")


def listeners(app: flask.Flask, events: Events) -> None:
    """Signals, each with one who listens, and all of them."""
    add_views(app, events)
    note_hooks(app, events, "app")
    names = [name for name in vars(signals) if name.startswith(("request_", "appcontext_", "got_"))]
    assert len(names) >= 7
    for chosen in ([name] for name in (*names, "")):
        with ExitStack() as connections:
            for name in names if chosen == [""] else chosen:

                def listen(sender: flask.Flask, name: str = name, **facts: Any) -> None:
                    known = {key: repr(value) for key, value in facts.items() if key != "_async_wrapper"}
                    events.append((name, sender is app, known, flask.has_request_context()))

                connections.enter_context(getattr(signals, name).connected_to(listen, app))
            for path in ("/text", "/fail/key", "/nothing"):
                ask(app, events, path)
    ask(app, events, "/text")


def teardown_of_the_application_context(app: flask.Flask, events: Events) -> None:
    add_views(app, events)
    note_hooks(app, events, "app")
    app.teardown_appcontext(lambda error: events.append(("context", repr(error), flask.has_request_context())))
    for path in ("/text", "/fail/key", "/fail/exit", "/nothing"):
        ask(app, events, path)


def values_looked_at_before(app: flask.Flask, events: Events) -> None:
    add_views(app, events)
    note_hooks(app, events, "app")

    @app.url_value_preprocessor
    def look(endpoint: str | None, values: dict[str, Any] | None) -> None:
        events.append((endpoint, dict(values or {})))
        if values:
            values["rest"] = "other"

    for path in ("/numbers/1.5/a", "/text", "/nothing"):
        ask(app, events, path)


def values_changed_by_a_hook(app: flask.Flask, events: Events) -> None:
    """Also those of a path that is remembered."""
    add_views(app, events)

    @app.before_request
    def change() -> None:
        events.append(dict(flask.request.view_args or {}))
        if flask.request.view_args:
            flask.request.view_args["rest"] = "other"

    for path in ("/numbers/1.5/a", "/numbers/1.5/a"):
        ask(app, events, path)


def what_is_global_for_a_request(app: flask.Flask, events: Events) -> None:
    app.before_request(lambda: setattr(flask.g, "seen", [*flask.g.get("seen", []), flask.request.path]))
    app.teardown_request(lambda error: events.append(("teardown", flask.g.seen, flask.current_app.name)))
    app.add_url_rule("/g/<name>", "g", lambda name: [name, *flask.g.seen])
    for path in ("/g/a", "/g/b"):
        ask(app, events, path)


def a_kept_context(app: flask.Flask, events: Events) -> None:
    """The test client in a ``with`` block."""
    add_views(app, events)
    note_hooks(app, events, "app")
    app.before_request(lambda: setattr(flask.g, "mark", flask.request.path))
    with app.test_client() as client:
        for path in ("/text", "/numbers/1.5/a", "/fail/key"):
            client.get(f"{path}?q=1")
            events.append((flask.request.path, flask.request.args["q"], flask.request.view_args, flask.g.mark))
    events.append((flask.has_request_context(), flask.has_app_context()))
    ask(app, events, "/text")


def pieces_within_the_context(app: flask.Flask, events: Events) -> None:
    note_hooks(app, events, "app")

    @app.get("/pieces/<name>")
    def pieces(name: str) -> flask.Response:
        @flask.stream_with_context
        def generate() -> Iterator[str]:
            for number in range(2):
                events.append(("piece", number))
                yield f"{number} {flask.request.path} {flask.request.args['q']} {flask.current_app.name} "

        return app.response_class(generate())

    ask(app, events, "/pieces/a?q=1")
    ask(app, events, "/pieces/b?q=2")


def pieces_without_a_context(app: flask.Flask, events: Events) -> None:
    note_hooks(app, events, "app")
    app.add_url_rule("/pieces", "pieces", lambda: (str(flask.has_request_context()) for _ in range(2)))
    ask(app, events, "/pieces")


def a_request_within_a_request(app: flask.Flask, events: Events) -> None:
    note_hooks(app, events, "app")
    app.add_url_rule("/inner/<name>", "inner", lambda name: f"{name} {flask.request.path}")
    app.add_url_rule("/fail", "fail", lambda: {}["key"])

    @app.get("/outer")
    def outer() -> list[Any]:
        client = app.test_client()
        inner = [client.get(path).text for path in ("/inner/a", "/nothing", "/fail")]
        return [flask.request.path, flask.request.endpoint, inner]

    ask(app, events, "/outer")


def what_is_global_for_a_request_within_a_request(app: flask.Flask, events: Events) -> None:
    app.add_url_rule("/inner", "inner", lambda: [flask.g.get("mark")])

    @app.get("/outer")
    def outer() -> Any:
        flask.g.mark = "outer"
        return app.test_client().get("/inner").json

    ask(app, events, "/outer")


def a_request_within_an_application_context(app: flask.Flask, events: Events) -> None:
    app.add_url_rule("/g", "g", lambda: [flask.g.pop("mark", None)])
    with app.app_context():
        flask.g.mark = "around"
        ask(app, events, "/g")
        events.append(flask.g.get("mark"))


def another_application_within_a_request(app: flask.Flask, events: Events) -> None:
    other = type(app)("other", static_folder=None)
    other.add_url_rule("/inner", "inner", lambda: f"{flask.current_app.name} {flask.g.get('mark')}")
    note_hooks(app, events, "app")
    note_hooks(other, events, "other")

    @app.get("/outer")
    def outer() -> list[str]:
        flask.g.mark = "outer"
        return [other.test_client().get("/inner").text, flask.current_app.name, flask.g.mark]

    ask(app, events, "/outer")


def a_server_that_fails(app: flask.Flask, events: Events) -> None:
    """It raises when it is given the answer."""
    add_views(app, events)
    note_hooks(app, events, "app")

    def start_response(*arguments: Any) -> None:
        raise OSError("gone")

    for path in ("/text", "/fail/key", "/nothing"):
        with pytest.raises(OSError, match="gone"):
            app(create_environ(path), start_response)
        events.append((flask.has_request_context(), flask.has_app_context()))


def a_context_that_is_copied(app: flask.Flask, events: Events) -> None:
    note_hooks(app, events, "app")

    @app.get("/copied/<int:number>")
    def copied(number: int) -> str:
        @flask.copy_current_request_context
        def look() -> str:
            return f"{flask.request.path} {flask.request.view_args}"

        return look()

    ask(app, events, "/copied/1")


def a_context_without_a_request(app: flask.Flask, events: Events) -> None:
    add_views(app, events)
    note_hooks(app, events, "app")
    for path in ("/numbers/1.5/a?q=1", "/nothing"):
        with app.test_request_context(path):
            facts = flask.request
            events.append((facts.path, facts.endpoint, facts.view_args, dict(facts.args), repr(facts.routing_exception)))
            events.append(flask.url_for("values", number=2.5, rest="x y", q="z"))
            events.append(app.full_dispatch_request().data)
    events.append((flask.has_request_context(), flask.has_app_context()))


def bodies(app: flask.Flask, events: Events) -> None:
    app.add_url_rule("/json", "json", lambda: {"got": flask.request.json}, methods=["POST"])
    app.add_url_rule("/raw", "raw", lambda: flask.request.data, methods=["POST"])
    app.add_url_rule("/form", "form", lambda: [dict(flask.request.form), *flask.request.files], methods=["POST"])
    ask(app, events, "/json", "POST", json={"a": [1]})
    ask(app, events, "/json", "POST", data=b"{", content_type="application/json")
    ask(app, events, "/json", "POST", data=b"{}")
    ask(app, events, "/raw", "POST", data=b"\x00\xff")
    ask(app, events, "/form", "POST", data={"a": "1"})


def templates(app: flask.Flask, events: Events) -> None:
    app.context_processor(lambda: {"mine": flask.request.endpoint})
    app.add_url_rule("/page/<name>", "page", lambda name: flask.render_template_string("{{ mine }} {{ name }}", name=name))
    ask(app, events, "/page/a")


SCENARIOS = [
    answers,
    errors_for_the_tests,
    trapped_errors,
    a_hook_that_answers,
    a_before_hook_that_fails,
    an_after_hook_that_fails,
    an_after_hook_that_answers_otherwise,
    a_teardown_hook_that_fails,
    hooks_of_blueprints,
    blueprints_without_hooks,
    hooks_for_one_request,
    handlers_of_errors,
    a_handler_of_errors_that_fails,
    listeners,
    teardown_of_the_application_context,
    values_looked_at_before,
    values_changed_by_a_hook,
    what_is_global_for_a_request,
    a_kept_context,
    pieces_within_the_context,
    pieces_without_a_context,
    a_request_within_a_request,
    what_is_global_for_a_request_within_a_request,
    a_request_within_an_application_context,
    another_application_within_a_request,
    a_server_that_fails,
    a_context_that_is_copied,
    a_context_without_a_request,
    bodies,
    templates,
]


def events_of(kind: type[flask.Flask], scenario: Callable[[flask.Flask, Events], None]) -> Events:
    events: Events = []
    app = kind("test", static_folder=None)
    app.url_map.merge_slashes = False
    app.logger.disabled = True
    scenario(app, events)
    return events


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_what_happens_is_what_happens_with_flask(scenario):
    expected = events_of(flask.Flask, scenario)
    assert expected
    assert events_of(Application, scenario) == expected


def note_ways(app: Closely, events: Events, *paths: str) -> None:
    for path in paths:
        before = app.flask_s_own
        app.test_client().get(path)
        events.append(app.flask_s_own - before)


def test_a_usual_request_goes_not_through_flask_s_own_code():
    """Otherwise the comparisons above would compare Flask with itself."""
    app, events = Closely("test", static_folder=None), []
    add_views(app, [])
    note_hooks(app, [], "app")
    app.logger.disabled = True
    note_ways(app, events, "/text", "/nothing", "/fail/key")
    with signals.request_started.connected_to(lambda *_, **__: None, app):
        note_ways(app, events, "/text", "/nothing", "/fail/key")
    note_ways(app, events, "/text")
    assert events == [0, 0, 0, 1, 1, 1, 0]


def test_hooks_of_a_blueprint_are_left_to_flask():
    app, events = Closely("test", static_folder=None), []
    add_views(app, [])
    blueprint = flask.Blueprint("blueprint", __name__)
    note_hooks(blueprint, [], "blueprint")
    app.register_blueprint(blueprint)
    note_ways(app, events, "/text")
    assert events == [1]


def test_what_comes_too_late_for_the_first_request_is_refused_as_by_flask():
    for kind in (flask.Flask, Application):
        app = kind("test", static_folder=None)
        add_views(app, [])
        assert app.test_client().get("/text").data == b"text"
        for setup in (app.before_request, app.after_request, app.teardown_request, app.teardown_appcontext):
            with pytest.raises(AssertionError, match="can no longer be called"):
                setup(lambda *_: None)


def test_what_one_request_writes_into_the_session_no_other_sees():
    app = Application("test", static_folder=None)
    app.logger.disabled = True

    @app.get("/write")
    def write() -> str:
        flask.session["secret"] = "mine"  # noqa: S105 - of a test
        return "written"

    app.add_url_rule("/read", "read", lambda: dict(flask.session))
    client = app.test_client()
    client.get("/write")
    assert client.get("/read").json == {}
