"""The header If-Match of a request (RFC 9110, section 13.1.1): which entity tags the client has seen."""

from typing import Final

from werkzeug.http import parse_etags, quote_etag

from gateway.call import Call

IF_MATCH: Final = "if-match"


def strong_tags(call: Call) -> frozenset[str] | None:
    """The entity tags of If-Match, without their quotes; None without the header, and for ``*``, which any one meets.

    A weak tag is none of them, since If-Match compares strongly, nor is what is no entity tag at all: a header that holds
    nothing else is met by nothing.
    """
    value = call.headers.get(IF_MATCH)
    if value is None:
        return None
    tags = parse_etags(value.strip())
    return None if tags.star_tag else frozenset(tags.as_set())


def strong_tag(text: str) -> str:
    """The value of the header ETag for ``text``, of printable ASCII without quotes."""
    return quote_etag(text)
