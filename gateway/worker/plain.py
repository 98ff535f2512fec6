"""Plain requests: those whose bytes can mean one thing only, recognised at a glance.

Accepts less than gunicorn's parser, and of what it accepts makes what that parser makes. Everything else is None here and goes
to that parser, which accepts it or refuses it.
"""

import re
import time
from dataclasses import dataclass, field
from enum import Enum, auto
from io import BytesIO
from typing import Any, Final

from gunicorn.config import Config
from gunicorn.http.message import Request

# The whole head; longer ones are rare, and gunicorn's limits are for its own parser.
_HEAD_BYTES: Final = 4096
_LINE_BYTES: Final = 4094  # of its first line, without the end
_FIELDS: Final = 50
_MAX_DIGITS: Final = 10  # of a Content-Length
_REMEMBERED: Final = 256
_REMEMBERED_BYTES: Final = 1024
_SECRET: Final = re.compile("AUTH|COOKIE|KEY|TOKEN|SECRET")

_REQUEST_LINE: Final = re.compile(rb"([A-Z]{3,10}) (/(?:[!\"$-.0-~][!\"$-~]*)?) HTTP/1\.1\r\n")
_FIELD: Final = rb"[!#$%&'*+\-.^`|~0-9A-Za-z]+:[\t -~\x80-\xff]*\r\n"
_FIELDS_AND_END: Final = re.compile(rb"((?:" + _FIELD + rb")+)\r\n")
# What may still become a plain head: whole lines of one, and the beginning of another.
_BEGINNING: Final = re.compile(
    rb"[A-Z]{0,10}|[A-Z]{3,10} (?:/(?:[!\"$-.0-~][!\"$-~]*)?)?|[A-Z]{3,10} /(?:[!\"$-.0-~][!\"$-~]*)? [HTP/1.]{0,8}\r?"
    rb"|[A-Z]{3,10} /(?:[!\"$-.0-~][!\"$-~]*)? HTTP/1\.1\r\n(?:"
    + _FIELD
    + rb")*(?:\r|[!#$%&'*+\-.^`|~0-9A-Za-z]+(?::[\t -~\x80-\xff]*\r?)?)?"
)

# Fields that change how a message is framed, forwarded or answered; and an encoded body may take long, however small it is.
_SPECIAL: Final = frozenset(
    ("TRANSFER-ENCODING", "CONTENT-ENCODING", "EXPECT", "UPGRADE", "HTTP2-SETTINGS", "TRAILER", "TE", "PROXY-CONNECTION")
)
_SINGLE: Final = frozenset(("HOST", "CONTENT-TYPE", "CONTENT-LENGTH", "CONNECTION"))
_CONNECTION: Final = frozenset(("keep-alive", "close"))


class Incomplete(Enum):
    """What is there so far may become a plain head."""

    HEAD = auto()


@dataclass(frozen=True, slots=True)
class Head:
    """A plain request's head. ``size`` and ``body_size`` in bytes; ``fields`` with names in upper case, in their order.

    ``has_length``: it tells the size of its body. ``closes``: the client wants the connection closed after the answer.
    ``environ``: what its requests' WSGI environments have in common, once the first was made.
    """

    method: str
    uri: str
    fields: tuple[tuple[str, str], ...]
    size: int
    body_size: int
    has_length: bool
    closes: bool
    environ: dict[str, Any] = field(default_factory=dict, compare=False)


def begun(data: bytes) -> Head:
    """As much of a request's head as ``data``, its first bytes, tells: enough to refuse it, and close its connection."""
    block, end, _ = data.partition(b"\r\n\r\n")
    line, *lines = block.decode("latin-1").split("\r\n")
    whole = lines if end else lines[:-1]
    fields = tuple((name.upper(), value.strip(" \t")) for name, _, value in (field.partition(":") for field in whole))
    method, _, rest = line.partition(" ")
    return Head(method, rest.partition(" ")[0], fields, len(block), 0, has_length=False, closes=True)


def is_within(line_bytes: int, fields: int, field_bytes: int) -> bool:
    """Whether every plain head is within these limits of gunicorn's; 0: no limit."""
    return all(
        limit == 0 or limit >= ours
        for limit, ours in ((line_bytes, _LINE_BYTES), (fields, _FIELDS), (field_bytes, _HEAD_BYTES))
    )


class Heads:
    """Reads plain heads; with a field named in ``refused`` one is not plain. Not thread-safe.

    Clients send the same head again and again, so the latest are remembered, unless there is something secret in them.
    """

    def __init__(self, refused: frozenset[str]) -> None:
        self._refused = refused
        self._remembered: dict[bytes, Head] = {}

    def read(self, data: bytes) -> Head | Incomplete | None:
        """The plain head that ``data`` begins with; None if it has none."""
        end = data.find(b"\r\n\r\n") + 4
        known = self._remembered.get(data[:end])
        if known is not None:
            return known
        head = self._read(data)
        if isinstance(head, Head) and end <= _REMEMBERED_BYTES and not any(_SECRET.search(name) for name, _ in head.fields):
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[data[:end]] = head
        return head

    def _read(self, data: bytes) -> Head | Incomplete | None:
        line = _REQUEST_LINE.match(data)
        block = _FIELDS_AND_END.match(data, line.end()) if line is not None else None
        if line is None or block is None:
            return Incomplete.HEAD if len(data) <= _HEAD_BYTES and _BEGINNING.fullmatch(data) else None
        fields = _fields(block[1], self._refused)
        if fields is None or block.end() > _HEAD_BYTES or len(fields) > _FIELDS or line[1] == b"CONNECT":
            return None
        length = next((value for name, value in fields if name == "CONTENT-LENGTH"), None)
        if length is not None and not (length.isascii() and length.isdigit() and len(length) <= _MAX_DIGITS):
            return None
        closes = any(name == "CONNECTION" and value.lower() == "close" for name, value in fields)
        size, body_size = block.end(), int(length or 0)
        return Head(line[1].decode(), line[2].decode(), tuple(fields), size, body_size, length is not None, closes)


def _fields(block: bytes, refused: frozenset[str]) -> list[tuple[str, str]] | None:
    fields, single = [], set()
    for line in block.decode("latin-1").split("\r\n")[:-1]:
        name, _, value = line.partition(":")
        name, value = name.upper(), value.strip(" \t")
        if name in _SINGLE:
            if name in single or (name == "CONNECTION" and value.lower() not in _CONNECTION):
                return None
            single.add(name)
        elif name in _SPECIAL or name in refused:
            return None
        fields.append((name, value))
    return fields


class PlainRequest(Request):  # type: ignore[misc]
    """A request as gunicorn's own code knows it, made of a plain head and a whole body instead of a socket's bytes.

    ``arrived_s``, in seconds of ``time.perf_counter``: from then on it has only waited here.
    """

    def __init__(self, cfg: Config, peer: Any, head: Head, body: bytes) -> None:
        # Not super().__init__(), which reads a socket.
        self.cfg = cfg
        self.arrived_s = time.perf_counter()
        self.unreader = None
        self.peer_addr = self.remote_addr = peer
        self.req_number = 1
        self.proxy_protocol_info = None
        self.head = head
        self.method, self.uri = head.method, head.uri
        self.path, _, self.query = head.uri.partition("?")
        self.fragment = ""
        self.version = (1, 1)
        self.headers = list(head.fields)
        self.trailers: list[tuple[str, str]] = []
        self.scheme = "http"
        self.body = BytesIO(body)
        self.must_close = False
        self._expected_100_continue = False

    def should_close(self) -> bool:
        """Whether the connection is closed after the answer."""
        return self.must_close or self.head.closes
