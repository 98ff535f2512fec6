"""Requests spoiled at random: whatever they have become, the server makes the same of them in one piece and in two.

HTTP_MUTANTS says how many (default 1200), HTTP_SEED which.
"""

import os
import random
from collections.abc import Callable

import pytest

from tests.gateway.server.http_case import PATIENCE_S, Outcome
from tests.gateway.server.http_cases_connection import GET, GOOD, PREDICT, chunked, post
from tests.gateway.server.http_wire import Answer, Wire
from tests.gateway.server.served import at_a_time
from tests.waiting import wait_for

MUTANTS = int(os.environ.get("HTTP_MUTANTS", "1200"))
SEED = int(os.environ.get("HTTP_SEED", "4"))
PARTS = 6

BASES = [
    GET,
    post(),
    chunked(),
    post(fields=b"Connection: close\r\nX-Request-Id: mine\r\n"),
    post(fields=b"Expect: 100-continue\r\n"),
    PREDICT + b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\n" + GOOD[:5] + b"\r\n16\r\n" + GOOD[5:] + b"\r\n0\r\nX-T: 1\r\n\r\n",
    b"GET /v1/models/m?verbose=1#top HTTP/1.1\r\nHost: a:80\r\nAccept: */*\r\nUser-Agent: x/1.0 (y)\r\nCookie: a=b\r\n\r\n",
    b"POST /predict/m HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 17\r\n\r\n" + b'{"x": [1.0, 2.0]}',
    b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 40\r\n\r\n"
    b"GET /smuggled HTTP/1.1\r\nHost: gateway\r\n\r\n",
    GET + post() + GET,
]
LAST = b"GET /healthz HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n"
INTERESTING = [
    *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\t", b"\x00", b"\x0b", b"\x7f", b"\x80", b"\xa0", b"\xff"),
    *(b":", b";", b",", b"_", b"0"),
    b"Content-Length: 5\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length: 99\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive\r\n",
    b"Connection: upgrade\r\nUpgrade: h2c\r\n",
    b"Expect: 100-continue\r\n",
    b"Expect: x\r\n",
    b"Host: y\r\n",
    b"X_A: 1\r\n",
    b"SCRIPT_NAME: /v1\r\n",
    b" folded\r\n",
    b"HTTP/1.0",
    b"%00",
    b"//",
    b"0\r\n\r\n",
]  # fmt: skip


def flip(rng: random.Random, data: bytes) -> bytes:
    place = rng.randrange(len(data))
    return data[:place] + bytes([data[place] ^ (1 << rng.randrange(8))]) + data[place + 1 :]


def insert(rng: random.Random, data: bytes) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + bytes([rng.randrange(256)]) + data[place:]


def delete(rng: random.Random, data: bytes) -> bytes:
    place = rng.randrange(len(data))
    return data[:place] + data[place + rng.choice((1, 1, 1, 2, 5)) :]


def insert_interesting(rng: random.Random, data: bytes) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + rng.choice(INTERESTING) + data[place:]


def insert_line(rng: random.Random, data: bytes) -> bytes:
    lines = data.split(b"\r\n")
    lines.insert(rng.randrange(1, max(2, len(lines))), rng.choice(INTERESTING).removesuffix(b"\r\n"))
    return b"\r\n".join(lines)


def repeat_line(rng: random.Random, data: bytes) -> bytes:
    lines = data.split(b"\r\n")
    lines.insert(rng.randrange(len(lines)), rng.choice(lines))
    return b"\r\n".join(lines)


def swap_lines(rng: random.Random, data: bytes) -> bytes:
    lines = data.split(b"\r\n")
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return b"\r\n".join(lines)


def change_case(rng: random.Random, data: bytes) -> bytes:
    place = rng.randrange(len(data))
    return data[:place] + data[place : place + 12].swapcase() + data[place + 12 :]


HOWS: list[Callable[[random.Random, bytes], bytes]] = [
    *(flip, insert, delete, insert_interesting, insert_line, repeat_line, swap_lines, change_case),
]


def mutant(number: int) -> bytes:
    """The same for the same number and seed."""
    rng = random.Random(f"{SEED}-{number}")
    data = rng.choice(BASES)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5))):
        data = rng.choice(HOWS)(rng, data) or GET
    return data


def cut(number: int, data: bytes) -> tuple[bytes | float, ...]:
    """In two pieces."""
    place = random.Random(number).randrange(len(data))
    return data[:place], 0.003, data[place:]


def transcript(pieces: tuple[bytes | float, ...], port: int) -> Outcome:
    """All that comes of ``pieces`` and one good request behind them, and the end.

    A client that ended its direction would be taken for gone: the last request closes the connection instead. It
    is sent twice, because a body may be just as long as to end with the first.
    """
    with Wire(port) as wire:
        wire.play((*pieces, LAST * 2))
        wire.read_until(lambda answers: False, timeout_s=PATIENCE_S * 3)
        return Outcome(tuple(wire.answers), wire.rest, "closed" if wire.is_closed else "open")


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(PARTS))
def test_a_spoiled_request_comes_to_the_same_in_two_pieces(served, part):
    mutants = {number: mutant(number) for number in range(part, MUTANTS, PARTS)}
    whole = at_a_time(64, lambda data: transcript((data,), served.port), list(mutants.values()))
    in_two = at_a_time(64, lambda item: transcript(cut(*item), served.port), list(mutants.items()))
    different = [
        (number, mutants[number], one, two)
        for number, one, two in zip(mutants, whole, in_two, strict=True)
        if without_continue(one) != without_continue(two)
    ]
    assert not different, f"{len(different)} of {len(mutants)}, the first: {different[0]}"
    assert {outcome.ending for outcome in whole} == {"closed"}
    assert {outcome.rest for outcome in whole} == {b""}


def without_continue(outcome: Outcome) -> tuple[Answer, ...]:
    """A body that came with its head needs no ``100 Continue``."""
    return tuple(answer for answer in outcome.answers if answer.status >= 200)


def test_the_mutants_are_of_all_kinds(served):
    """Not all are refused, and not all are let through."""
    some = at_a_time(64, lambda number: transcript((mutant(number),), served.port), list(range(200)))
    statuses = {answer.status for outcome in some for answer in outcome.answers}
    assert {200, 400, 404} <= statuses
    assert {len(outcome.answers) for outcome in some} >= {1, 2, 3}


def test_no_spoiled_request_makes_the_server_fail(served, caplog):
    at_a_time(64, lambda number: transcript((mutant(number),), served.port), list(range(200, 400)))
    wait_for(lambda: not served.connections.open and not served.connections.in_work)
    assert served.connections.bodies.bytes == 0
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
