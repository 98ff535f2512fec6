"""Which requests the front answers on the loop, and what a WSGI application sees of the others."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from gateway.call import ENVIRON_KEY, Answer, Call, Handler
from gateway.errors import GatewayError
from gateway.server.front import Front, environ_of, run_wsgi


def call(path: str = "/x", method: str = "GET", body: bytes = b"", query: str = "", **headers: str) -> Call:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Call(method, path, query, named, body, complete_s=1.0, client="192.0.2.1")


def refuse(call: Call, error: GatewayError) -> Answer:
    return Answer(error.http_status, error.message.encode())


async def predict(call: Call) -> Answer:
    return Answer(200, b"predicted")


async def at_the_edge(call: Call, handler: Handler) -> Answer:
    answer = await handler(call)
    answer.headers.append(("X-Edge", "1"))
    return answer


def find(call: Call) -> Handler | None:
    return predict if call.path == "/predict" else None


def hello(environ, start_response):
    start_response("201 Created", [("Content-Type", "text/plain"), ("Content-Length", "5"), ("Server", "x"), ("X-A", "1")])
    return [b"hel", b"lo"]


def front(application: Callable = hello, max_waiting: int = 10) -> Front:
    return Front(find, at_the_edge, application, refuse, max_waiting)


def answers(*calls: Call, front: Front) -> list[Answer]:
    async def ask() -> list[Answer]:
        return await asyncio.gather(*map(front.answer, calls))

    try:
        return asyncio.run(ask())
    finally:
        front.close()


def test_a_prediction_is_answered_at_the_edge_and_not_by_the_application():
    [answer] = answers(call("/predict"), front=front())
    assert (answer.status, answer.body, answer.headers) == (200, b"predicted", [("X-Edge", "1")])


def test_everything_else_is_answered_by_the_application_without_the_headers_that_are_the_servers():
    [answer] = answers(call("/docs"), front=front())
    assert (answer.status, answer.body) == (201, b"hello")
    assert answer.headers == [("Content-Type", "text/plain"), ("X-A", "1")]


def test_an_answer_to_head_keeps_the_length_of_the_body_that_it_does_not_have():
    answer = run_wsgi(hello, call(method="HEAD"))
    assert ("Content-Length", "5") in answer.headers


def test_the_application_runs_in_a_thread():
    threads = []

    def application(environ, start_response):
        threads.append(threading.current_thread())
        return hello(environ, start_response)

    answers(call(), front=front(application))
    assert threads != [threading.current_thread()]


def test_the_application_sees_the_request_as_it_was_sent():
    seen = {}

    def application(environ, start_response):
        seen.update(environ)
        seen["body"] = environ["wsgi.input"].read()
        return hello(environ, start_response)

    sent = call("/v1/a%20%C3%A9", "POST", b"body", "q=%20", host="h:1", content_type="text/x", x_a="1, 2", content_length="9")
    run_wsgi(application, sent)
    assert seen[ENVIRON_KEY] is sent
    assert seen["REQUEST_METHOD"] == "POST"
    assert seen["RAW_URI"] == seen["REQUEST_URI"] == "/v1/a%20%C3%A9?q=%20"
    assert seen["PATH_INFO"] == "/v1/a \xc3\xa9"
    assert seen["QUERY_STRING"] == "q=%20"
    assert seen["REMOTE_ADDR"] == "192.0.2.1"
    assert (seen["HTTP_HOST"], seen["HTTP_X_A"], seen["CONTENT_TYPE"]) == ("h:1", "1, 2", "text/x")
    assert (seen["CONTENT_LENGTH"], seen["body"]) == ("4", b"body")
    assert not [name for name in seen if name.startswith("HTTP_CONTENT")]


def test_the_environment_is_one_that_wsgi_allows():
    from wsgiref.validate import validator

    def application(environ, start_response):
        environ.pop(ENVIRON_KEY)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["wsgi.input"].read(3)]

    answer = run_wsgi(validator(application), call(method="POST", body=b"abc", host="h", content_type="text/plain"))
    assert answer.body == b"abc"


def test_no_field_of_a_client_becomes_a_variable_of_the_server():
    environ = environ_of(call(script_name="/evil", remote_addr="1", wsgi_url_scheme="https", path_info="/evil"))
    assert (environ["SCRIPT_NAME"], environ["REMOTE_ADDR"], environ["PATH_INFO"]) == ("", "192.0.2.1", "/x")
    assert environ["wsgi.url_scheme"] == "http"


def test_more_than_may_wait_are_refused_and_predictions_are_not():
    go_on = threading.Event()

    def application(environ, start_response):
        go_on.wait(20)
        return hello(environ, start_response)

    slow = front(application, max_waiting=2)

    async def ask() -> list[int]:
        waiting = [asyncio.create_task(slow.answer(call())) for _ in range(2)]
        await asyncio.sleep(0)
        refused, predicted = await slow.answer(call()), await slow.answer(call("/predict"))
        assert b"too many requests" in refused.body
        go_on.set()
        return [refused.status, predicted.status, *[answer.status for answer in await asyncio.gather(*waiting)]]

    assert asyncio.run(ask()) == [503, 200, 201, 201]
    slow.close()


def test_a_client_that_goes_away_gives_up_its_place():
    go_on = threading.Event()

    def application(environ, start_response):
        go_on.wait(20)
        return hello(environ, start_response)

    slow = front(application, max_waiting=1)

    async def ask() -> int:
        gone = asyncio.create_task(slow.answer(call()))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        go_on.set()
        return (await slow.answer(call())).status

    assert asyncio.run(ask()) == 201
    slow.close()


def test_what_the_application_raises_is_raised():
    def application(environ, start_response):
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        answers(call(), front=front(application))
