"""How a rollout knows its callers: each request for itself, or by a header, the key or the address of the caller."""

import re
from typing import Final

from gateway.rollout.plan import PER_REQUEST

BY_KEY: Final = "key"
BY_ADDRESS: Final = "address"
_HEADER: Final = re.compile(r"header:([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,100})")  # a token: RFC 9110, section 5.6.2


def parse_mode(text: str) -> str:
    """The mode that ``text`` means: ``per-request``, ``key``, ``address`` or ``header:name``, lowered. Raises ValueError."""
    if text in (PER_REQUEST, BY_KEY, BY_ADDRESS):
        return text
    if _HEADER.fullmatch(text) is None:
        raise ValueError(f"expected header:NAME such as header:X-User, {BY_KEY}, {BY_ADDRESS} or {PER_REQUEST}, got {text!r}")
    return text.lower()


def header_of(mode: str) -> str | None:
    """The name of the header by which callers are known, in lower case; None in the other modes."""
    kind, _, name = mode.partition(":")
    return name if kind == "header" else None
