"""Whoever looks at the gateway's requests and responses sees what Flask's have."""

import io
from collections.abc import Callable
from typing import Any

import flask
import pytest
from werkzeug.test import create_environ, run_wsgi_app

from gateway.api.budget import Budget
from gateway.api.message import Request, Response

ENVIRONS: dict[str, dict[str, Any]] = {
    "usual": {},
    "escapes": {"PATH_INFO": "/a b/%zz?", "RAW_URI": "/a%20b/%25zz%3F"},
    "latin-1 of UTF-8": {"PATH_INFO": "/caf\xc3\xa9/\xe2\x82\xac"},
    "bytes that are no UTF-8": {"PATH_INFO": "/\xff\xfe/\xc3"},
    "empty path": {"PATH_INFO": ""},
    "no slash": {"PATH_INFO": "v1"},
    "double slashes": {"PATH_INFO": "//v1//models/"},
    "query": {"QUERY_STRING": "a=1&b=%20&a=2&c&=&d=%C3%A9&e=%ff&f=a+b"},
    "query in latin-1": {"QUERY_STRING": "a=\xc3\xa9"},
    "query that is no UTF-8": {"QUERY_STRING": "a=\xff"},
    "unix": {"SERVER_NAME": "/run/gateway.sock", "SERVER_PORT": "", "REMOTE_ADDR": ""},
    "lower-case method": {"REQUEST_METHOD": "post"},
    "other scheme": {"wsgi.url_scheme": "https", "HTTP_HOST": "example.org:443"},
    "other port": {"SERVER_PORT": "8080", "HTTP_HOST": "example.org:8080"},
    "bad host": {"HTTP_HOST": "a b/"},
    "prefix": {"SCRIPT_NAME": "/pre\xc3\xa9/", "PATH_INFO": "/x"},
    "fields": {"HTTP_X_A": "1", "HTTP_ACCEPT": "text/html;q=0.5, application/json", "HTTP_X_LATIN": "\xe9"},
    "length": {"CONTENT_LENGTH": "12", "CONTENT_TYPE": "application/json; charset=utf-8"},
    "bad length": {"CONTENT_LENGTH": "a"},
    "other JSON": {"CONTENT_TYPE": "application/vnd.a+json"},
    "empty fields": {"CONTENT_LENGTH": "", "CONTENT_TYPE": ""},
    "address": {"REMOTE_ADDR": "10.0.0.1", "REMOTE_PORT": "1234", "HTTP_X_FORWARDED_FOR": "1.1.1.1, 2.2.2.2"},
    "cookies": {"HTTP_COOKIE": "a=b; c=d"},
    "forms": {"CONTENT_TYPE": "application/x-www-form-urlencoded", "wsgi.input": b"a=1&b=2", "CONTENT_LENGTH": "7"},
    "JSON": {"CONTENT_TYPE": "application/json", "wsgi.input": b'{"a":[1]}', "CONTENT_LENGTH": "9"},
    "bad JSON": {"CONTENT_TYPE": "application/json", "wsgi.input": b'{"a"', "CONTENT_LENGTH": "4"},
}
# What the constructor's arguments may lack altogether.
OPTIONAL = ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "REMOTE_ADDR", "SCRIPT_NAME", "SERVER_NAME", "HTTP_HOST")
ATTRIBUTES = [
    "method",
    "scheme",
    "server",
    "root_path",
    "path",
    "query_string",
    "remote_addr",
    "args",
    "url",
    "base_url",
    "root_url",
    "host_url",
    "host",
    "full_path",
    "content_length",
    "content_type",
    "mimetype",
    "mimetype_params",
    "accept_mimetypes",
    "is_json",
    "is_secure",
    "json",
    "data",
    "form",
    "files",
    "values",
    "cookies",
    "access_route",
    "user_agent",
    "shallow",
    "is_multithread",
    "endpoint",
    "blueprint",
    "blueprints",
    "view_args",
    "url_rule",
    "routing_exception",
    "authorization",
    "if_none_match",
    "cache_control",
    "want_form_data_parsed",
]


def environ(name: str, without: str = "") -> dict[str, Any]:
    changes = dict(ENVIRONS[name])
    body = changes.pop("wsgi.input", b"")
    made = create_environ("/v1/models/m", "http://localhost:8080", method="GET") | changes | {"wsgi.input": io.BytesIO(body)}
    made.pop(without, None)
    return made


def seen(request: flask.Request, name: str) -> Any:
    """What looking at an attribute gives, or the error."""
    try:
        value = getattr(request, name)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is to be the same
        return type(error), str(error)
    return type(value), str(value) if name in {"user_agent", "cache_control", "if_none_match"} else value


def assert_same(make: Callable[[], dict[str, Any]]) -> None:
    for name in ATTRIBUTES:
        assert seen(Request(make()), name) == seen(flask.Request(make()), name), f"{name}, looked at first"
    ours, theirs = Request(make()), flask.Request(make())
    for name in ATTRIBUTES:
        assert seen(ours, name) == seen(theirs, name), name
        assert seen(ours, name) == seen(theirs, name), f"{name}, once more"
    assert list(ours.headers) == list(theirs.headers)
    assert ours.headers.get("x-a") == theirs.headers.get("x-a")
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("name", ENVIRONS)
def test_every_attribute_of_a_request_is_flask_s(name):
    assert_same(lambda: environ(name))


@pytest.mark.parametrize("missing", OPTIONAL)
def test_what_an_environment_lacks_is_what_flask_makes_of_it(missing):
    assert_same(lambda: environ("usual", missing))


@pytest.mark.parametrize("missing", ["", *OPTIONAL])
def test_looking_at_one_attribute_first_changes_no_other(missing):
    """Those that are looked up together, in every order of two."""
    late = ("scheme", "server", "root_path", "query_string", "remote_addr")
    theirs = flask.Request(environ("usual", missing))
    for first in late:
        ours = Request(environ("usual", missing))
        assert [getattr(ours, name) for name in (first, *late)] == [getattr(theirs, name) for name in (first, *late)]


def test_an_attribute_that_was_set_stays_as_it_was_set():
    request = Request(environ("usual"))
    request.remote_addr = "10.0.0.1"
    assert request.scheme == "http"
    assert request.remote_addr == "10.0.0.1"


@pytest.mark.parametrize("name", ["nothing", "_nothing", "Scheme", "user"])
def test_what_is_no_attribute_of_a_request_is_an_error(name):
    request = Request(environ("usual"))
    with pytest.raises(AttributeError, match=f"Request.*{name}"):
        getattr(request, name)
    assert not hasattr(request, name)
    assert getattr(request, name, 5) == 5


def test_a_request_is_in_its_environment_unless_it_is_shallow():
    of_its_own, shallow, hidden = environ("usual"), environ("usual"), environ("usual")
    request = Request(of_its_own)
    assert request.scheme
    assert of_its_own["werkzeug.request"] is request
    assert Request(shallow, shallow=True).scheme == "http"
    assert Request(hidden, populate_request=False).scheme == "http"
    assert "werkzeug.request" not in shallow | hidden
    for kind in (Request, flask.Request):
        with pytest.raises(RuntimeError):
            kind(environ("JSON"), shallow=True).get_data()


def test_the_gateway_s_own_facts_begin_anew_with_each_request():
    first = Request(environ("usual"))
    first.id, first.body_limit, first.trace, first.error_code, first.shares = "a", 1, object(), "b", {Budget(1): 1}
    second = Request(environ("usual"))
    facts = (second.id, second.body_limit, second.trace, second.error_code, second.shares, second.parse_s)
    assert facts == ("", 0, None, None, {}, 0.0)


BODIES = [b"", b'{"predictions":[1.0]}', b"\x00\xff" * 1000]
TYPES = ["application/json", "application/octet-stream", "text/plain; charset=utf-8", "text/plain"]


def gives(response: flask.Response, method: str = "GET") -> tuple[Any, ...]:
    """What a server gets of a response, as the application that it is."""
    body, status, headers = run_wsgi_app(response, create_environ("/x", method=method), buffered=True)
    return b"".join(body), status, list(headers)


def facts(response: flask.Response) -> dict[str, Any]:
    names = "status status_code data content_type mimetype content_length is_json is_sequence is_streamed direct_passthrough"
    return {name: getattr(response, name) for name in names.split()} | {"headers": list(response.headers)}


@pytest.mark.parametrize("body", BODIES, ids=len)
@pytest.mark.parametrize("content_type", TYPES)
def test_a_whole_response_is_one(body, content_type):
    whole, usual = Response.whole(body, content_type), Response(body, content_type=content_type)
    assert facts(whole) == facts(usual) == facts(flask.Response(body, content_type=content_type))
    assert type(whole) is Response
    assert isinstance(whole.headers, type(usual.headers))
    assert {*vars(usual)} - {*vars(whole)} == set()
    for method in ("GET", "POST", "HEAD", "OPTIONS"):
        assert gives(whole, method) == gives(usual, method)
        assert gives(whole, method) == gives(usual, method), "a second time"


def change_data(response: flask.Response) -> None:
    response.data = b"something else"


def change_text(response: flask.Response) -> None:
    response.set_data("\u20ac")


def change_body(response: flask.Response) -> None:
    response.response = ["a", b"b"]
    response.content_length = 2


def change_body_to_pieces(response: flask.Response) -> None:
    response.response = (piece for piece in [b"a", b"b"])
    del response.headers["Content-Length"]


def change_status(response: flask.Response) -> None:
    response.status_code = 503


def change_reason(response: flask.Response) -> None:
    response.status = "200 Fine"


def take_content_away(response: flask.Response) -> None:
    response.status_code = 204


def take_all_away(response: flask.Response) -> None:
    response.status_code = 304


def take_length_away(response: flask.Response) -> None:
    del response.headers["Content-Length"]


def add_headers(response: flask.Response) -> None:
    response.headers["X-A"] = "1"
    response.headers.add("X-A", "2")
    response.headers["content-type"] = "text/plain"
    response.vary.add("Origin")


def add_location(response: flask.Response) -> None:
    response.headers["Location"] = "/caf\xe9 a"


def add_cookie(response: flask.Response) -> None:
    response.set_cookie("a", "b")


def add_etag(response: flask.Response) -> None:
    response.add_etag()


def replace_headers(response: flask.Response) -> None:
    response.headers = type(response.headers)({"X-Only": "1"})


HOOKS = [
    change_data,
    change_text,
    change_body,
    change_body_to_pieces,
    change_status,
    change_reason,
    take_content_away,
    take_all_away,
    take_length_away,
    add_headers,
    add_location,
    add_cookie,
    add_etag,
    replace_headers,
]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.__name__)
def test_a_whole_response_can_be_changed(hook, method):
    whole, usual = Response.whole(b"{}"), flask.Response(b"{}", content_type="application/json")
    hook(whole)
    hook(usual)
    assert gives(whole, method) == gives(usual, method)


def test_a_header_that_is_added_is_as_if_added_to_the_headers():
    whole, usual = Response.whole(b"{}"), Response(b"{}", content_type="application/json")
    for number in ("1", "2"):
        whole.add_header("X-A", number)
        usual.headers.add("X-A", number)
    assert facts(whole) == facts(usual)
    assert gives(whole) == gives(usual)


def test_a_server_may_change_the_headers_that_it_gets():
    whole, given = Response.whole(b"{}"), []
    whole(create_environ(), lambda status, headers: given.append(headers))
    given[0].append(("X-Server", "1"))
    assert "X-Server" not in whole.headers


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_is_to_be_called_when_a_response_is_closed_is_called_then(method):
    for response in (Response.whole(b"{}"), flask.Response(b"{}", content_type="application/json")):
        calls: list[str] = []
        response.call_on_close(lambda calls=calls: calls.append("closed"))
        body = response(create_environ(method=method), lambda status, headers: None)
        assert b"".join(body) == (b"" if method == "HEAD" else b"{}")
        assert calls == []
        body.close()
        assert calls == ["closed"]


def test_a_response_that_is_made_as_flask_makes_them_is_flask_s():
    for arguments in ({}, {"status": 404}, {"headers": {"X-A": "1"}}, {"mimetype": "text/plain"}):
        assert facts(Response("a", **arguments)) == facts(flask.Response("a", **arguments))
        assert gives(Response("a", **arguments)) == gives(flask.Response("a", **arguments))
