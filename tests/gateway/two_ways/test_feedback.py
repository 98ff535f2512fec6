"""Feedback is answered in the same way by our own server and by any other, with the prediction log on and off."""

import pytest

from tests.gateway.two_ways.requests import Sent
from tests.gateway.two_ways.test_two_ways import ways

PATH = "/v1/feedback"
GOOD = b'{"request_id": "r-1", "row": 2, "label": {"digit": 7}}'
REQUESTS = [
    Sent("good", "POST", PATH, (), GOOD),
    Sent("good, in chunks", "POST", PATH, (), GOOD, 7),
    Sent("of a path with an escape", "POST", "/v1/%66eedback", (), GOOD),
    Sent("not compressed", "POST", PATH, (("Content-Encoding", "gzip"),), GOOD),
    Sent("another encoding", "POST", PATH, (("Content-Encoding", "br"),), GOOD),
    Sent("nothing", "POST", PATH),
    Sent("no JSON", "POST", PATH, (), b"{"),
    Sent("a list", "POST", PATH, (), b"[]"),
    Sent("a name twice", "POST", PATH, (), GOOD.replace(b'"row": 2', b'"row": 2, "row": 3')),
    Sent("all wrong", "POST", PATH, (), b'{"request_id": "a b", "row": -1, "label": null, "x": 1}'),
    Sent("too long", "POST", PATH, (), b'{"request_id": "a", "label": "%s"}' % (b"x" * 100_000)),
    Sent("too large", "POST", PATH, (), b'{"request_id": "a", "label": "%s"}' % (b"x" * 300_000)),
    *(Sent(method, method, PATH) for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS")),
]
STATUSES = {"good": 202, "good, in chunks": 202, "nothing": 400, "all wrong": 400, "too long": 400, "too large": 413}


@pytest.fixture(scope="module", params=["on", "off"])
def same(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ways")
    address = f"file://{folder}/log" if request.param == "on" else "off"
    for made in ways(folder, GATEWAY_PREDICTION_LOG=address):
        yield made, request.param == "on"


@pytest.mark.parametrize("sent", REQUESTS, ids=[sent.id for sent in REQUESTS])
def test_both_ways_give_the_same_answer(same, sent):
    made, is_on = same
    expected = made.ours(sent)
    assert made.gunicorn(sent) == expected
    assert made.test_client(sent) == expected
    if is_on and sent.id in STATUSES:
        assert expected.status == STATUSES[sent.id]
    if not is_on and sent.id == "good":
        assert expected.status == 404
