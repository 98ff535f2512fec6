"""A request, and its head, read from what llhttp found in it.

A head that could mean two things is refused, so that a proxy in front of the gateway and the gateway never disagree about it.
"""

import re
from dataclasses import dataclass
from typing import Final

import httptools

from gateway.call import Call
from gateway.errors import ExpectationFailed, GatewayError, HeaderFieldsTooLarge, InvalidArgument, Unimplemented
from gateway.server.limits import FIELDS, HEAD_BYTES

# If one of these came with two values, different programs could each take another one for the only value.
_ONCE: Final = frozenset(("host", "content-length", "content-type", "inference-header-content-length"))
_FRAMING: Final = frozenset((b"content-length", b"transfer-encoding"))
# RFC 3986, 3.2.2, without the comma, by which two hosts would be joined.
_HOST: Final = re.compile(r"(?:[A-Za-z0-9\-._~%!$&'()*+;=]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")
_KNOWN_NAMES: Final = 512

_names: dict[bytes, str] = {}

Fields = list[tuple[bytes, bytes]]


@dataclass(slots=True, eq=False)
class Request:
    """A request whose head has come: ``call`` gets its body, and the time, when it is whole.

    - ``length``: of the body in bytes; None if the body comes in chunks.
    - ``keeps``: the client wants the connection kept, and it can be.
    - ``expects_continue``: the client waits for ``100 Continue`` before it sends the body.
    - ``error``: why the server refuses the request, if it does.
    """

    call: Call
    length: int | None
    keeps: bool
    expects_continue: bool
    error: GatewayError | None = None


def read_head(method: bytes, target: bytes, version: str, fields: Fields, *, keeps: bool) -> Request:
    """The request with a head whose syntax llhttp accepted.

    Raises:
        InvalidArgument: the version, the target, ``Host`` or a field that must come once is wrong.
        HeaderFieldsTooLarge: the fields have too many bytes.
        ExpectationFailed: ``Expect`` is not ``100-continue``.
        Unimplemented: the method is CONNECT, or the transfer coding is not ``chunked``.
    """
    if version not in ("1.1", "1.0"):
        raise InvalidArgument(f"the version of the request: expected HTTP/1.1 or HTTP/1.0, got HTTP/{version}")
    headers = _headers(fields)
    path, query = _path_and_query(method, target)
    _check_host(headers.get("host"), version)
    length = _length(headers, version)
    expects = "expect" in headers and _expects_continue(headers["expect"]) and version == "1.1"
    call = Call(method.decode("latin-1"), path, query, headers, b"", complete_s=0.0)
    return Request(call, length, keeps, expects and length != 0)


def read_partial_head(method: bytes, target: bytes, fields: Fields) -> Request:
    """The request with as much of a head as has come, for one that is refused. Nothing is checked."""
    headers = {_name(name): value.decode("latin-1") for name, value in fields[:FIELDS]}
    path, _, query = target.decode("latin-1").partition("?")
    call = Call(method.decode("latin-1"), path, query, headers, b"", complete_s=0.0)
    return Request(call, 0, keeps=False, expects_continue=False)


def framing_head(fields: Fields) -> bytes:
    """The head of a request with the same body, and nothing else: enough for a parser that is to read this body."""
    lines = [b"%s: %s\r\n" % (name, value) for name, value in fields if name.lower() in _FRAMING]
    return b"POST / HTTP/1.1\r\n%s\r\n" % b"".join(lines)


def head_too_large() -> HeaderFieldsTooLarge:
    """The error for a head of too many bytes."""
    return HeaderFieldsTooLarge(f"the request's head: expected at most {HEAD_BYTES} bytes, got more")


def _headers(fields: Fields) -> dict[str, str]:
    headers: dict[str, str] = {}
    size = 0
    for name, value in fields:
        size += len(name) + len(value)
        key = _names.get(name) or _name(name)
        if "_" in key:
            continue  # WSGI would take it for the field with a hyphen in its place
        text = value.decode("latin-1").rstrip(" \t")
        if key not in headers:
            headers[key] = text
        elif key in _ONCE:
            raise InvalidArgument(f"the field {key}: expected one, got several")
        else:
            headers[key] = f"{headers[key]}, {text}"
    if size > HEAD_BYTES:
        raise head_too_large()
    return headers


def _name(name: bytes) -> str:
    """The name in lower case. Up to 512 names are remembered: clients may send any."""
    known = name.decode("latin-1").lower()
    if len(_names) < _KNOWN_NAMES and len(name) <= 64:
        _names[name] = known
    return known


def _path_and_query(method: bytes, target: bytes) -> tuple[str, str]:
    """Path and query of any form of target (RFC 9112, 3.2), without a fragment, which no client may send."""
    if method == b"CONNECT":
        raise Unimplemented("CONNECT: this server opens no tunnels")
    if target[:1] != b"/" and not (target == b"*" and method == b"OPTIONS"):
        target = _path_of_absolute(target)
    path, _, query = target.decode("latin-1").partition("#")[0].partition("?")
    return path, query


def _path_of_absolute(target: bytes) -> bytes:
    try:
        url = httptools.parse_url(target)
    except httptools.HttpParserError:
        url = None
    if url is None or not url.schema or not url.host:
        raise InvalidArgument("the request's target: expected a path that begins with /, or an absolute URL")
    path: bytes = url.path or b"/"
    return path if url.query is None else b"%s?%s" % (path, url.query)


def _check_host(host: str | None, version: str) -> None:
    if host is None:
        if version == "1.1":
            raise InvalidArgument("the field host: expected one, as HTTP/1.1 demands, got none")
    elif not _HOST.fullmatch(host):
        raise InvalidArgument("the field host: expected a name or an address, and a port, got something else")


def _length(headers: dict[str, str], version: str) -> int | None:
    coding = headers.get("transfer-encoding")
    if coding is None:
        # llhttp has bounded the number, but not the zeros before it, of which ``int`` takes some thousand.
        return int(headers.get("content-length", "").lstrip("0") or 0)
    if version != "1.1":
        raise InvalidArgument("the field transfer-encoding: expected none in HTTP/1.0, got one")
    if coding.lower() != "chunked":
        raise Unimplemented("the field transfer-encoding: expected chunked, got another coding")
    return None


def _expects_continue(value: str) -> bool:
    if {part.strip(" \t").lower() for part in value.split(",")} != {"100-continue"}:
        raise ExpectationFailed("the field expect: expected 100-continue, got something else")
    return True
