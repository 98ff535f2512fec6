"""A raw exchange: what is sent on one connection, and what must come back."""

import time
from dataclasses import dataclass

from tests.gateway.server.http_wire import Answer, Piece, Wire

PROBE_ID = b"the-probe"
PROBE = b"GET /healthz HTTP/1.1\r\nHost: gateway\r\nX-Request-Id: " + PROBE_ID + b"\r\n\r\n"
# How long the server under test waits for a request; a connection that is closed only then is closed "late".
PATIENCE_S = 2.0
LATE_S = PATIENCE_S * 0.9
KEPT, CLOSED, LATE, OPEN, GONE = "kept", "closed", "late", "open", "gone"


@dataclass(frozen=True, slots=True)
class Case:
    """``expected`` is the statuses in order and then the ending, such as ``100 200 kept``; ``200/HEAD`` has no body.

    The endings: ``kept`` (one more request is answered), ``closed`` (by the server, at once), ``late`` (by the server, when the
    time for a request has passed), ``gone`` (the client went away and looks at nothing).
    """

    id: str
    expected: str
    pieces: tuple[Piece, ...]

    @property
    def ending(self) -> str:
        return self.expected.split()[-1]

    @property
    def heads(self) -> frozenset[int]:
        finals = [status for status in self._statuses if not status.startswith("1")]
        return frozenset(place for place, status in enumerate(finals) if status.endswith("/HEAD"))

    @property
    def finals(self) -> int:
        return sum(not status.startswith("1") for status in self._statuses)

    @property
    def _statuses(self) -> list[str]:
        """Each status; ``200*3`` is three of it."""
        counted = [status.partition("*") for status in self.expected.split()[:-1]]
        return [status for status, _, times in counted for _ in range(int(times or 1))]

    @property
    def told(self) -> str:
        """``expected`` as ``Outcome.told`` has it."""
        return " ".join([*(status.removesuffix("/HEAD") for status in self._statuses), self.ending])


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came back: whole answers, bytes that are none, and how it ended."""

    answers: tuple[Answer, ...]
    rest: bytes
    ending: str
    late_answers: int = 0  # those that came only when the time had passed, of a connection that was not kept

    @property
    def told(self) -> str:
        return " ".join([*(str(answer.status) for answer in self.answers), self.ending])


def cases(group: str, *rows: tuple[str | Piece, ...]) -> list[Case]:
    """Each row is an id, what is expected, and the pieces to send."""
    return [Case(f"{group}: {row[0]}", str(row[1]), tuple(row[2:])) for row in rows]


def play(case: Case, port: int) -> Outcome:
    """Run ``case`` against the server on ``port``."""
    with Wire(port, case.heads) as wire:
        started_s = time.monotonic()
        wire.play(case.pieces)
        if case.ending == GONE:
            return Outcome((), b"", GONE)
        if case.ending == KEPT:
            wire.read_until(lambda answers: sum(answer.status >= 200 for answer in answers) >= case.finals)
            return probed(wire)
        wire.read_to_the_end()
        late = sum(answered_s - started_s >= LATE_S for answered_s in wire.answered_s)
        return Outcome(tuple(wire.answers), wire.rest, _ending(wire, time.monotonic() - started_s), late)


def probed(wire: Wire) -> Outcome:
    """The outcome so far, and whether one more request on the connection is answered."""
    if not wire.is_closed:
        wire.play((PROBE,))
        wire.read_until(lambda answers: bool(answers) and _is_of_probe(answers[-1]))
    answers = wire.answers
    is_kept = bool(answers) and _is_of_probe(answers[-1])
    ending = KEPT if is_kept else CLOSED if wire.is_closed else OPEN
    return Outcome(tuple(answers[:-1] if is_kept else answers), wire.rest, ending)


def _is_of_probe(answer: Answer) -> bool:
    return answer.status == 200 and answer.header(b"x-request-id") == PROBE_ID


def _ending(wire: Wire, waited_s: float) -> str:
    if not wire.is_closed:
        return OPEN
    return LATE if waited_s >= LATE_S else CLOSED
