"""Hundreds of raw exchanges: what is right and wrong HTTP, and what a hidden request comes to, whatever worker serves."""

import json
import re
from collections import Counter

import pytest

from tests.stack import http_cases_app, http_cases_connection, http_cases_fields, http_cases_framing, http_cases_lines
from tests.stack.http_case import CLOSED, GONE, KEPT, LATE, Case, Outcome, play
from tests.stack.http_exceptions import EXCEPTIONS
from tests.stack.http_servers import OTHERS, at_a_time, gateways
from tests.stack.http_wire import HALF_CLOSE
from tests.waiting import wait_for

CASES = [*http_cases_lines.CASES, *http_cases_fields.CASES, *http_cases_framing.CASES, *http_cases_connection.CASES]
BY_ID = {case.id: case for case in CASES}


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    with gateways(tmp_path_factory.mktemp("table")) as (reference, others):
        yield reference, others


@pytest.fixture(scope="module")
def outcomes(servers) -> dict[str, dict[str, Outcome]]:
    """What came of each case, by worker; the reference's is under ""."""
    reference, others = servers
    return {name: play_all(gateway.port) for name, gateway in {"": reference, **others}.items()}


def play_all(port: int) -> dict[str, Outcome]:
    """Those that wait for the server's patience to end wait together."""
    late = [case for case in CASES if case.ending == LATE]
    prompt = [case for case in CASES if case.ending != LATE]
    found = {}
    for some, number in ((late, 48), (prompt, 6)):
        found |= zip((case.id for case in some), at_a_time(number, lambda case: play(case, port), some), strict=True)
    return found


def test_the_table_is_long_enough_and_no_id_comes_twice():
    assert len(CASES) >= 700
    assert len(BY_ID) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=BY_ID)
def test_the_thread_worker_does_what_the_table_says(outcomes, case: Case):
    assert outcomes[""][case.id].told == case.told, outcomes[""][case.id]


@pytest.mark.parametrize("case", CASES, ids=BY_ID)
@pytest.mark.parametrize("worker", OTHERS)
def test_another_worker_does_the_same(outcomes, worker, case: Case):
    """Statuses, fields, bodies, what is no answer, and how the connection ends."""
    found = outcomes[worker][case.id]
    if (worker, case.id) in EXCEPTIONS:
        assert found.answers == outcomes[""][case.id].answers
        return
    assert found.told == case.told, found
    assert found == outcomes[""][case.id]


def test_there_are_no_exceptions_without_a_case():
    assert {case for _, case in EXCEPTIONS} <= BY_ID.keys() | {case.id for case in http_cases_app.CASES}


def test_no_case_makes_an_answer_that_breaks_the_protocol(outcomes):
    """A date on each, one length or chunks, and nothing behind the last answer."""
    for worker, found in outcomes.items():
        for name, outcome in found.items():
            assert outcome.rest == b"", (worker, name)
            for answer in outcome.answers:
                check_fields(answer, (worker, name))


def test_an_answer_says_what_becomes_of_its_connection(outcomes):
    """But for a client that closes its own direction: who has answered before it hears of that has promised more."""
    for worker, found in outcomes.items():
        for name, outcome in found.items():
            finals = [answer for answer in outcome.answers if answer.status >= 200]
            if not finals or outcome.ending not in (KEPT, CLOSED) or HALF_CLOSE in BY_ID[name].pieces:
                continue
            told = [b"keep-alive"] * (len(finals) - 1) + [b"keep-alive" if outcome.ending == KEPT else b"close"]
            assert [answer.header(b"connection") for answer in finals] == told, (worker, name)


def check_fields(answer, where):
    names = Counter(key.lower() for key, _ in answer.headers)
    repeated = [key for key, times in names.items() if times > 1]
    assert not repeated, (where, repeated)
    if answer.status < 200:
        assert not names, where
        return
    assert names[b"content-length"] + names[b"transfer-encoding"] == 1, where
    assert names[b"connection"] == 1, where
    # What gunicorn refuses itself has neither a date nor a name.
    assert names[b"date"] == names[b"server"], where


BEFORE_READING = (
    "length: over the body limit, the body not sent",
    "length: over the body limit, half the body sent",
    "length: 2**64",
    "expect: 100-continue for a body over the limit",
)


@pytest.mark.parametrize("name", BEFORE_READING)
def test_a_body_over_the_limit_is_refused_before_it_is_there(outcomes, name):
    for worker, found in outcomes.items():
        assert found[name].answers[-1].status == 413, worker
        assert found[name].late_answers == 0, worker


def test_a_hidden_request_is_never_answered_unless_it_stands_in_plain_sight(outcomes):
    """Only where the table says so is there one answer more: behind a request that is whole without the hidden one."""
    for found in outcomes.values():
        for name, outcome in found.items():
            if name.startswith(("smuggling:", "length:", "chunk:", "transfer coding:")):
                assert len(outcome.answers) <= BY_ID[name].finals + BY_ID[name].expected.count("100")


@pytest.mark.parametrize("worker", OTHERS)
def test_the_logs_tell_the_same(servers, outcomes, worker):
    """Each request is one event with its status, whoever served it, and what is refused before it is one is one warning."""
    reference, others = servers

    def difference() -> Counter:
        left, right = told(reference.log), told(others[worker].log)
        return (left - right) + (right - left)

    try:
        wait_for(lambda: not difference(), 5)
    except AssertionError:
        assert difference() == Counter()


def told(log) -> Counter:
    events = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    # Who waits for a start asks for /readyz.
    kept = [
        event
        for event in events
        if (event["event"] == "request" or event["level"] != "info") and event.get("path") != "/readyz"
    ]
    return Counter(
        tuple(
            (key, steady(str(event.get(key)))) for key in ("event", "level", "method", "path", "status", "error", "exception")
        )
        for event in kept
    )


def steady(words: str) -> str:
    """Without how much had been read of a line when it was found too long."""
    return re.sub(r"\(\d+ > ", "(* > ", words)


def test_no_worker_ended(servers, outcomes):
    reference, others = servers
    for gateway in (reference, *others.values()):
        assert "Exception in worker" not in gateway.log.read_text()
        assert gateway.process.process.poll() is None


def test_every_ending_is_in_the_table():
    assert {case.ending for case in CASES} == {"kept", "closed", "late", GONE}
