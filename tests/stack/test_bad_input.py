"""Bad requests through the whole stack: each a 4xx that names the right place, and one line in the log."""

import pytest

from tests.stack.bad_input import CASES, LOOKUPS
from tests.stack.conftest import USUAL_EVENTS
from tests.waiting import wait_for


def only_request_lines(stack, request_id):
    """The log's events of one request, once its line is written."""
    return wait_for(lambda: [event for event in stack.log_events() if event.get("id") == request_id])


def test_the_table_is_long_enough():
    assert len(CASES) + len(LOOKUPS) >= 60


@pytest.mark.parametrize(("path", "body", "named"), CASES, ids=range(len(CASES)))
def test_bad_input_is_400_and_names_the_place(stack, path, body, named):
    response = stack.post(path, body)
    assert response.status_code == 400, response.text
    assert response.headers["Content-Type"] == "application/json"
    document = response.json()
    for words in named:
        assert words in response.json().get("message", "") + document["error"]
    for leak in ("Traceback", "<class", "object at 0x", "dtype(", "numpy"):
        assert leak not in response.text
    assert len(response.text) < 5000
    events = only_request_lines(stack, response.headers["X-Request-Id"])
    assert [(event["event"], event["status"], event["level"]) for event in events] == [("request", 400, "info")]


@pytest.mark.parametrize(("path", "status", "words"), LOOKUPS, ids=[path for path, _, _ in LOOKUPS])
def test_what_is_not_there_is_refused(stack, path, status, words):
    response = stack.post(path, {"instances": [1.0]})
    assert response.status_code == status
    assert words in response.json()["error"]
    assert len(only_request_lines(stack, response.headers["X-Request-Id"])) == 1


def test_after_all_of_it_the_log_holds_nothing_but_known_events(stack):
    events = {event["event"] for event in stack.log_events()}
    assert events <= {"request", *USUAL_EVENTS}
