"""The trimmed Flask does for routes and hooks what Flask does."""

import flask
import pytest

from gateway.api.application import Application
from gateway.api.message import Response


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
