"""POST /v1/feedback through HTTP, with the prediction log on, off and full."""

import sqlite3
from contextlib import closing, suppress

import pytest

from tests.waiting import wait_for

PATH = "/v1/feedback"
GOOD = {"request_id": "r-1", "label": 7}


@pytest.fixture
def client(make_client, config_file, tmp_path):
    return make_client(model_config_file=config_file, prediction_log=f"sqlite:///{tmp_path}/log.db")


def rows(tmp_path):
    """What the table has, once it has any."""

    def read():
        with (
            closing(sqlite3.connect(tmp_path / "log.db")) as connection,
            suppress(sqlite3.OperationalError),
        ):  # no such table yet
            return connection.execute("SELECT request_id, row, label, source FROM feedback ORDER BY seq").fetchall()

    return wait_for(read)


def test_feedback_is_accepted_and_kept_also_of_a_request_that_nobody_knows(client, tmp_path):
    answer = client.post(PATH, {"request_id": "nobody-knows", "row": 3, "label": {"digit": 7, "sure": [1.5, None]}})
    assert (answer.status_code, answer.json) == (202, {"request_id": "nobody-knows", "row": 3})
    assert rows(tmp_path) == [("nobody-knows", 3, '{"digit":7,"sure":[1.5,null]}', "")]


def test_feedback_has_the_id_of_the_answer_that_it_is_about(client, tmp_path):
    answered = client.post("/v1/models/m:predict", {"instances": [[1, 2]]})
    client.post(PATH, {"request_id": answered.headers["X-Request-Id"], "label": 7})
    [(request_id, *_)] = rows(tmp_path)
    wait_for(lambda: (request_id,) in _ids(tmp_path))


def _ids(tmp_path):
    with closing(sqlite3.connect(tmp_path / "log.db")) as connection:
        return connection.execute("SELECT request_id FROM predictions").fetchall()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "JSON Parse error"),
        ("{", "JSON Parse error"),
        ('{"request_id": "a", "label": 1} x', "expected"),
        ("[]", "(body): expected an object, got list of 0"),
        ('{"request_id": "a", "label": NaN}', "/label: expected JSON"),
        ('{"request_id": "a", "label": 1, "label": 2}', "(body): expected each name once, got a second 'label'"),
        ('{"request_id": "a", "label": [{"x": 1, "x": 2}]}', "(body): expected each name once, got a second 'x'"),
        ('{"request_id": "a", "label": ' + "9" * 4301 + "}", "too big"),
        ('{"request_id": "a", "label": 1, "row": 18446744073709551617}', "/row: expected a whole number"),
        ({"request_id": "a"}, "/label: expected JSON of up to 16384 characters, and not null, got nothing"),
        ({"request_id": "a b", "label": 1, "raw": 2}, "/raw: expected nothing of this name, got 2"),
        ({"request_id": "a", "label": "x" * 20_000}, "/label: expected JSON of up to 16384 characters"),
        ('{"request_id": "a", "label": ' + "[" * 900 + "]" * 900 + "}", None),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_wrong_is_said_in_the_shape_of_v1(client, body, message):
    answer = client.post(PATH, body)
    if message is None:
        assert answer.status_code == 202
        return
    assert answer.status_code == 400
    assert list(answer.json) == ["error"]
    assert message in answer.json["error"]


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
def test_another_method_is_told_which_one_there_is(client, method):
    answer = getattr(client.http, method)(PATH)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert answer.json == {"error": f"/v1/feedback takes POST, not {method.upper()}"}


@pytest.mark.parametrize(
    "label", ["18446744073709551617", "-99999999999999999999", '{"id":[18446744073709551617,1.5]}', "9" * 308]
)
def test_whole_numbers_of_a_label_are_kept_as_they_are(client, tmp_path, label):
    assert client.post(PATH, f'{{"request_id": "a", "label": {label}}}').status_code == 202
    assert rows(tmp_path) == [("a", 0, label, "")]


def test_with_the_log_off_there_is_no_such_route_and_the_answer_says_why(make_client, config_file):
    answer = make_client(model_config_file=config_file).post(PATH, GOOD)
    assert answer.status_code == 404
    assert "GATEWAY_PREDICTION_LOG is not set" in answer.json["error"]


def test_a_full_log_asks_to_try_again(make_client, config_file):
    """Its folder cannot be made, so that nothing is ever written."""
    client = make_client(
        model_config_file=config_file, prediction_log="file:///nowhere/at/all", prediction_log_queue_bytes=65_536
    )
    answers = [client.post(PATH, GOOD) for _ in range(100)]
    assert [answer.status_code for answer in answers[:50]] == [202] * 50
    assert (answers[-1].status_code, answers[-1].headers["Retry-After"]) == (503, "1")
    assert answers[-1].json == {"error": "the prediction log has no room now"}


def test_the_document_describes_the_route(client):
    document = client.get("/openapi.json").json
    operation = document["paths"][PATH]["post"]
    assert {"202", "400", "404", "413", "503"} <= set(operation["responses"])
    schema = document["components"]["schemas"]["feedback"]
    assert (schema["required"], set(schema["properties"])) == (["request_id", "label"], {"request_id", "row", "label"})
