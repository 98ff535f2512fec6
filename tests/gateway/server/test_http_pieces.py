"""Where the network cuts the bytes decides nothing: every exchange, cut at every byte, comes to the same."""

import pytest

from tests.gateway.server.http_case import Case, Outcome, play
from tests.gateway.server.http_cases_connection import BAD, GET, GOOD, PREDICT, chunked, post
from tests.gateway.server.served import at_a_time

# Long enough that the server reads what is before the cut alone, nearly always; nothing depends on it.
PAUSE_S = 0.004

EXCHANGES = {
    "GET": (GET, "200 kept"),
    "prediction": (post(), "200 kept"),
    "prediction and close": (post(fields=b"Connection: close\r\n"), "200 closed"),
    "chunks": (chunked(), "200 kept"),
    "chunks and a trailer": (chunked()[:-2] + b"X-A: 1\r\n\r\n", "200 kept"),
    "two predictions": (post() + post(GOOD + b" "), "200 200 kept"),
    "GET and chunks": (GET + chunked(), "200 200 kept"),
    "behind a CRLF": (b"\r\n" + GET, "200 kept"),
    "an upgrade that is ignored": (post(fields=b"Connection: upgrade\r\nUpgrade: h2c\r\n") + GET, "200 200 kept"),
    "bad field": (BAD, "400 closed"),
    "bad length": (PREDICT + b"Content-Length: 1x\r\n\r\n", "400 closed"),
    "length and chunks": (PREDICT + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400 closed"),
    "bare LF": (b"GET /healthz HTTP/1.1\r\nHost: x\nX-A: 1\r\n\r\n", "400 closed"),
    "folded": (b"GET /healthz HTTP/1.1\r\nHost: x\r\n y\r\n\r\n", "400 closed"),
}


@pytest.mark.parametrize("name", EXCHANGES)
def test_a_cut_at_any_byte_changes_nothing(served, name):
    data, expected = EXCHANGES[name]
    whole = play(Case("whole", expected, (data,)), served.port)
    assert whole.told == expected
    cuts = [Case(f"cut at {place}", expected, (data[:place], PAUSE_S, data[place:])) for place in range(1, len(data))]
    outcomes = at_a_time(16, lambda case: play(case, served.port), cuts)
    assert {case.id: found for case, found in zip(cuts, outcomes, strict=True) if found != whole} == {}


def test_three_pieces_of_a_pipeline_come_to_the_same(served):
    data = GET + post() + chunked() + GET
    whole = play(Case("whole", "200 200 200 200 kept", (data,)), served.port)
    cuts = [(first, second) for first in range(1, len(data), 23) for second in range(first + 1, len(data), 29)]
    cases = [
        Case(f"{first}, {second}", "200 200 200 200 kept", (data[:first], PAUSE_S, data[first:second], PAUSE_S, data[second:]))
        for first, second in cuts
    ]
    outcomes: list[Outcome] = at_a_time(16, lambda case: play(case, served.port), cases)
    assert {case.id: found for case, found in zip(cases, outcomes, strict=True) if found != whole} == {}
