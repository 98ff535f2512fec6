"""HTTP answers as they arrive on a socket: when one is whole, and what it says."""

import re
from typing import NamedTuple

_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_RETRY_AFTER = re.compile(rb"\r\nretry-after: *\d+ *\r\n", re.IGNORECASE)
_VERSION = re.compile(rb"\r\nx-model-version: *(\d+)", re.IGNORECASE)
# As our gateway writes it, which no other contender does: cheaper than a pattern.
_SAVED = b"\r\nX-Rollout: canary-failed"
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


class Unreadable(Exception):
    """Raised for bytes that are no answer with a Content-Length."""


class Answer(NamedTuple):
    """An answer. Its head is searched only when a property is read, because every request comes through here."""

    status: int
    body: bytes
    head: bytes

    @property
    def version(self) -> int:
        """The number in X-Model-Version; 0 without that header."""
        found = _VERSION.search(self.head)
        return int(found[1]) if found else 0

    @property
    def is_saved(self) -> bool:
        """Whether it is of a rollout's stable version, in the place of a canary that has failed."""
        return _SAVED in self.head

    @property
    def has_retry_after(self) -> bool:
        """Whether the answer has a Retry-After in seconds."""
        return _RETRY_AFTER.search(self.head) is not None

    @property
    def is_last(self) -> bool:
        """Whether the server closes the connection after it."""
        return _CLOSE.search(self.head) is not None


def parse(data: bytes) -> Answer | None:
    """The answer that ``data`` holds; None while it is not whole. Raises Unreadable."""
    head_end = data.find(_HEAD_END)
    if head_end < 0:
        return None
    # The last line's end too, for the patterns.
    head = data[: head_end + 2]
    length = _LENGTH.search(head)
    if length is None or not head.startswith(b"HTTP/1.1 "):
        raise Unreadable
    body = data[head_end + len(_HEAD_END) :]
    if len(body) < int(length[1]):
        return None
    if len(body) > int(length[1]):
        raise Unreadable
    return Answer(int(head[9:12]), body, head)
