"""A client that sends any bytes it is told to, and tells exactly what came back."""

import re
import socket
import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

DEADLINE_S = 8.0
HALF_CLOSE = "half-close"
RESET = "reset"

Piece = bytes | float | str

_VARYING = re.compile(rb"(Date: |X-Request-Id: )[^\r]+")
_MADE_ID = re.compile(rb"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Answer:
    """One response: its header fields sorted, a star for what differs from run to run, its body without chunk framing."""

    status: int
    first_line: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        return next((value for key, value in self.headers if key.lower() == name), None)


class Wire:
    """One connection, and all that has been received on it."""

    def __init__(self, port: int, heads: Iterable[int] = ()) -> None:
        self.received = bytearray()
        self.is_closed = False
        # When each answer was there, by time.monotonic.
        self.answered_s: list[float] = []
        self._heads = frozenset(heads)
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *error: object) -> None:
        self.sock.close()

    def play(self, pieces: Iterable[Piece]) -> None:
        """Send bytes, wait for seconds, close one direction or all. A server that closes is no error: it may have answered."""
        for piece in pieces:
            try:
                self._play(piece)
            except (BrokenPipeError, ConnectionResetError):
                continue
            except OSError as error:
                if piece != HALF_CLOSE:
                    raise AssertionError(f"cannot send: {error}") from error

    def _play(self, piece: Piece) -> None:
        if isinstance(piece, bytes):
            self.sock.sendall(piece)
        elif isinstance(piece, float):
            time.sleep(piece)
        elif piece == HALF_CLOSE:
            self.sock.shutdown(socket.SHUT_WR)
        else:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def read_until(self, condition: Callable[[list[Answer]], bool], timeout_s: float = DEADLINE_S) -> list[Answer]:
        """Read until ``condition`` holds for the whole answers so far, the server closes or time is up."""
        until_s = time.monotonic() + timeout_s
        while not condition(self.answers) and not self.is_closed and time.monotonic() < until_s:
            self.sock.settimeout(max(0.001, until_s - time.monotonic()))
            try:
                piece = self.sock.recv(1 << 20)
            except TimeoutError:
                break
            except ConnectionResetError:
                piece = b""
            self.is_closed = not piece
            self.received += piece
            self.answered_s += [time.monotonic()] * (len(self.answers) - len(self.answered_s))
        return self.answers

    def read_to_the_end(self, timeout_s: float = DEADLINE_S) -> list[Answer]:
        return self.read_until(lambda answers: False, timeout_s)

    @property
    def answers(self) -> list[Answer]:
        return parse(bytes(self.received), self._heads, self.is_closed)[0]

    @property
    def rest(self) -> bytes:
        """What came behind the last whole answer, but for its date and a made id."""
        return _VARYING.sub(rb"\1*", parse(bytes(self.received), self._heads, self.is_closed)[1])


def parse(data: bytes, heads: frozenset[int] = frozenset(), is_closed: bool = True) -> tuple[list[Answer], bytes]:
    """The whole answers at the front of ``data`` and what is behind them.

    ``heads`` are the places, from 0 and without those of 1xx, of the answers to HEAD. An answer without any framing is whole
    when the connection ``is_closed``.
    """
    answers: list[Answer] = []
    finals = 0
    while data:
        parsed = _parse_one(data, finals in heads, is_closed)
        if parsed is None:
            break
        answer, data = parsed
        answers.append(answer)
        finals += answer.status >= 200
    return answers, data


def _parse_one(data: bytes, is_head: bool, is_closed: bool) -> tuple[Answer, bytes] | None:
    head, separator, rest = data.partition(b"\r\n\r\n")
    match = re.match(rb"HTTP/\d\.\d (\d{3})(?: [^\r\n]*)?(?:\r\n|\Z)", head)
    if not separator or match is None:
        return None
    first_line, *lines = head.split(b"\r\n")
    fields = [(name, value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
    status = int(match[1])
    framed = _body(rest, status, is_head, is_closed, {name.lower(): value for name, value in fields})
    if framed is None:
        return None
    body, rest = framed
    headers = tuple(sorted((name, _steady(name.lower(), value)) for name, value in fields))
    return Answer(status, first_line, headers, body), rest


def _steady(name: bytes, value: bytes) -> bytes:
    if name == b"date" or (name == b"x-request-id" and _MADE_ID.fullmatch(value)):
        return b"*"
    # Flask has them in a set.
    return b", ".join(sorted(value.split(b", "))) if name == b"allow" else value


def _body(rest: bytes, status: int, is_head: bool, is_closed: bool, fields: dict[bytes, bytes]) -> tuple[bytes, bytes] | None:
    if is_head or status < 200 or status in (204, 304):
        return b"", rest
    if fields.get(b"transfer-encoding", b"").lower() == b"chunked":
        return _unchunked(rest)
    if b"content-length" in fields:
        length = int(fields[b"content-length"])
        return (rest[:length], rest[length:]) if len(rest) >= length else None
    return (rest, b"") if is_closed else None


def _unchunked(rest: bytes) -> tuple[bytes, bytes] | None:
    body = b""
    while True:
        line, separator, rest = rest.partition(b"\r\n")
        if not separator:
            return None
        size = int(line, 16)
        chunk, end, rest = rest[:size], rest[size : size + 2], rest[size + 2 :]
        if end != b"\r\n":
            return None
        if not size:
            return body, rest
        body += chunk
