"""What a request with feedback may say, and what is answered to others."""

import json

import pytest

from gateway.errors import InvalidArgument
from gateway.prediction_log.feedback import feedback_row

ID = "f3a1"


@pytest.mark.parametrize(
    "label", [7, -1.5, "seven", True, [1, None], {"digit": 7, "sure": 0.5}, "", "\0\udcff", 2**80], ids=repr
)
def test_any_json_but_null_is_a_label(label):
    row = feedback_row({"request_id": ID, "label": label}, "anna")
    assert (row.request_id, row.row, row.source) == (ID, 0, "anna")
    assert json.loads(row.label) == label
    assert row.label.isascii()
    assert row.label.isprintable()


def test_a_row_of_the_request_may_be_named():
    assert feedback_row({"request_id": ID, "row": 31, "label": 1}, "").row == 31


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "(body): expected an object, got list of 0"),
        ("x", '(body): expected an object, got string "x"'),
        (
            {"label": 1},
            "/request_id: expected the X-Request-Id of an answer, up to 128 printable ASCII characters, got nothing",
        ),
        ({"request_id": 5, "label": 1}, "/request_id: expected the X-Request-Id of an answer"),
        ({"request_id": "", "label": 1}, 'got string ""'),
        ({"request_id": "a b", "label": 1}, 'got string "a b"'),
        ({"request_id": "x" * 129, "label": 1}, "up to 128 printable"),
        ({"request_id": ID}, "/label: expected JSON of up to 16384 characters, and not null, got nothing"),
        ({"request_id": ID, "label": None}, "and not null, got null"),
        ({"request_id": ID, "label": "x" * 16384}, "/label: expected JSON of up to 16384 characters"),
        ({"request_id": ID, "label": float("nan")}, "/label: expected JSON"),
        ({"request_id": ID, "label": 1, "row": -1}, "/row: expected a whole number from 0 to 2147483647, got -1"),
        ({"request_id": ID, "label": 1, "row": True}, "/row: expected a whole number from 0 to 2147483647, got true"),
        ({"request_id": ID, "label": 1, "row": 1.0}, "got 1.0"),
        ({"request_id": ID, "label": 1, "row": None}, "/row: expected a whole number from 0 to 2147483647, got null"),
        ({"request_id": ID, "label": 1, "a/b": 2}, "/a~1b: expected nothing of this name, got 2"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(document, message):
    with pytest.raises(InvalidArgument) as refusal:
        feedback_row(document, "anna")
    assert message in refusal.value.message
    assert len(refusal.value.problems) == 1


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(InvalidArgument) as refusal:
        feedback_row({"row": "x", "score": {}}, "anna")
    assert {problem.pointer for problem in refusal.value.problems} == {"/request_id", "/label", "/row", "/score"}


def test_a_million_unknown_names_make_no_million_problems():
    with pytest.raises(InvalidArgument) as refusal:
        feedback_row({"request_id": ID, "label": 1} | {f"x{number}": 1 for number in range(100_000)}, "anna")
    assert len(refusal.value.problems) == 20
    assert len(refusal.value.message) < 5000
    assert refusal.value.omitted == 99_980
