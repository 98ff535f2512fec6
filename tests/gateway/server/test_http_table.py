"""Hundreds of raw exchanges: what is right and wrong HTTP, and what a hidden request comes to."""

import json
from collections import Counter

import pytest

from tests.gateway.server import http_cases_connection, http_cases_fields, http_cases_framing, http_cases_lines
from tests.gateway.server.http_case import CLOSED, GONE, KEPT, LATE, Case, Outcome, play
from tests.gateway.server.http_wire import HALF_CLOSE, Answer
from tests.gateway.server.served import Served, at_a_time
from tests.waiting import wait_for

CASES = [*http_cases_lines.CASES, *http_cases_fields.CASES, *http_cases_framing.CASES, *http_cases_connection.CASES]
BY_ID = {case.id: case for case in CASES}


@pytest.fixture(scope="module")
def outcomes(served) -> dict[str, Outcome]:
    """What came of each case. Those that wait for the server's time limit wait together."""
    late = [case for case in CASES if case.ending == LATE]
    prompt = [case for case in CASES if case.ending != LATE]
    found = {}
    for some, number in ((late, 48), (prompt, 6)):
        found |= zip((case.id for case in some), at_a_time(number, lambda case: play(case, served.port), some), strict=True)
    return found


def test_the_table_is_long_enough_and_no_id_comes_twice():
    assert len(CASES) >= 700
    assert len(BY_ID) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=BY_ID)
def test_an_exchange_ends_as_the_table_says(outcomes, case: Case):
    assert outcomes[case.id].told == case.told, outcomes[case.id]


def test_no_case_makes_an_answer_that_breaks_the_protocol(outcomes):
    """A date on each, one length, and nothing behind the last answer."""
    for name, outcome in outcomes.items():
        assert outcome.rest == b"", name
        for answer in outcome.answers:
            check_fields(answer, name)


def check_fields(answer: Answer, name: str) -> None:
    names = Counter(key.lower() for key, _ in answer.headers)
    assert not [key for key, times in names.items() if times > 1], name
    if answer.status < 200:
        assert not names, name
        return
    assert names[b"content-length"] == (answer.status != 204), name
    assert names[b"transfer-encoding"] == 0, name
    assert names[b"connection"] == names[b"date"] == names[b"server"] == 1, name


def test_an_answer_says_what_becomes_of_its_connection(outcomes):
    """But for a client that closes its own direction: an answer that was sent before has promised more."""
    for name, outcome in outcomes.items():
        finals = [answer for answer in outcome.answers if answer.status >= 200]
        if not finals or outcome.ending not in (KEPT, CLOSED) or HALF_CLOSE in BY_ID[name].pieces:
            continue
        told = [b"keep-alive"] * (len(finals) - 1) + [b"keep-alive" if outcome.ending == KEPT else b"close"]
        assert [answer.header(b"connection") for answer in finals] == told, name


@pytest.mark.parametrize(
    "name",
    [
        "length: over the body limit, the body not sent",
        "length: over the body limit, half the body sent",
        "length: 2**63",
        "expect: 100-continue for a body over the limit",
    ],
)
def test_a_body_over_the_limit_is_refused_before_it_is_there(outcomes, name):
    assert outcomes[name].answers[-1].status == 413
    assert outcomes[name].late_answers == 0


def test_a_hidden_request_is_never_answered_unless_it_stands_in_plain_sight(outcomes):
    """Only where the table says so is there one answer more: behind a request that is whole without the hidden one."""
    for name, outcome in outcomes.items():
        if name.startswith(("smuggling:", "length:", "chunk:", "transfer coding:")):
            assert len(outcome.answers) <= BY_ID[name].finals + BY_ID[name].expected.count("100")


def test_what_the_server_refuses_is_rendered_by_the_application_and_quotes_nothing(outcomes):
    for name, outcome in outcomes.items():
        for answer in outcome.answers:
            if answer.status in (400, 408, 413, 414, 417, 431, 501) and answer.body not in (b"{}", b""):
                assert set(json.loads(answer.body)) == {"error"}, name
                assert b"evil" not in answer.body, name


SETTINGS = {
    "length: over the body limit, the body not sent": b"GATEWAY_MAX_BODY_BYTES=2000",
    "length: large, nothing sent": b"GATEWAY_READ_TIMEOUT_MS=2000",
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_refusal_says_which_setting_decided_it(outcomes, name):
    assert outcomes[name].answers[-1].header(b"x-setting") == SETTINGS[name]


def test_nothing_is_left_behind(served, outcomes):
    """No request in work, no connection, and no byte that is still counted."""
    wait_for(lambda: not served.connections.open and not served.connections.in_work)
    assert served.connections.bodies.bytes == 0


def test_every_ending_is_in_the_table():
    assert {case.ending for case in CASES} == {KEPT, CLOSED, LATE, GONE}


def test_the_application_sees_a_request_as_it_was_sent(served: Served):
    body = b"\x00\xff"
    sent = (
        b"POST /echo?a=%20b#part HTTP/1.1\r\nHost: gateway\r\nX-A: 1\r\nx-a:  2 \r\nX_B: 3\r\nX-Caf\xe9".replace(b"\xe9", b"e")
        + b": \xe9\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
        + body
    )
    [answer] = play(Case("echo", "200 closed", (sent,)), served.port).answers
    seen = json.loads(answer.body)
    assert seen == {
        "method": "POST",
        "path": "/echo",
        "query": "a=%20b",
        "scheme": "http",
        "client": "127.0.0.1",
        "headers": {"host": "gateway", "x-a": "1, 2", "x-cafe": "\xe9", "content-length": "2", "connection": "close"},
        "body": body.decode("latin-1"),
    }


def test_a_trailer_is_no_header(served: Served):
    sent = b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Evil: 1\r\nHost: evil\r\n\r\n"
    [answer] = play(Case("echo", "200 kept", (sent,)), served.port).answers
    assert json.loads(answer.body)["headers"] == {"host": "h", "transfer-encoding": "chunked"}
    assert json.loads(answer.body)["body"] == "a"


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_an_upgrade_that_is_ignored_loses_no_body(served: Served, framing):
    """llhttp leaves everything behind the head of such a request to others."""
    hidden = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
    head = (
        b"POST /echo HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    )
    if framing == "length":
        sent = head + b"Content-Length: %d\r\n\r\n" % len(hidden) + hidden
    else:
        sent = head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(hidden) + hidden + b"\r\n0\r\n\r\n"
    for pieces in ((sent,), (sent[:-20], 0.05, sent[-20:]), (sent[:60], 0.05, sent[60:])):
        outcome = play(Case("upgrade", "200 kept", pieces), served.port)
        assert outcome.told == "200 kept"
        assert json.loads(outcome.answers[0].body)["body"] == hidden.decode()
