"""What is recognised as a plain request is, byte for byte, what gunicorn's own parser makes of it."""

import pytest
from gunicorn.config import Config
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.worker.plain import Head, Heads, Incomplete, PlainRequest, begun

CFG = Config()
PEER = ("127.0.0.1", 4321)
REFUSED = frozenset(CFG.secure_scheme_headers)
read_head = Heads(REFUSED).read
USUAL = (
    b"POST /v1/models/m:predict?a=1 HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: curl/8.0\r\nAccept: */*\r\n"
    b"Content-Type: application/json\r\nContent-Length: 17\r\n\r\n"
)


def plain(data: bytes) -> PlainRequest | None:
    head = read_head(data)
    return PlainRequest(CFG, PEER, head, data[head.size : head.size + head.body_size]) if isinstance(head, Head) else None


def parsed(data: bytes) -> Request:
    return Request(CFG, IterUnreader([data]), PEER)


def facts(request: Request) -> dict[str, object]:
    names = ("method", "uri", "path", "query", "fragment", "version", "headers", "scheme", "must_close", "peer_addr")
    return {name: getattr(request, name) for name in names} | {
        "closes": request.should_close(),
        "continues": request._expected_100_continue,
        "proxy": request.proxy_protocol_info,
    }


def assert_same(data: bytes) -> None:
    ours = plain(data)
    assert ours is not None
    theirs = parsed(data)
    assert facts(ours) == facts(theirs)
    assert ours.body.read() == theirs.body.read()


def test_a_usual_request_is_plain():
    assert_same(USUAL + b'{"instances":[1]}')


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost:a\r\nX:\r\n\r\n",
        b"GET /a%20b/c%2Fd?x=%20&y HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"HEAD /v1/models/m HTTP/1.1\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n",
        b"DELETE /x?? HTTP/1.1\r\nHost: \t a \t\r\nCookie: a=b\r\nCookie: c=d\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: a\r\nX-Latin: \xe9\xff\r\nContent-Length: 003\r\n\r\nabc",
        b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        b"OPTIONS /v1/models/m:predict HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\n\r\n",
    ],
)
def test_these_are_plain(data):
    assert_same(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n" + USUAL,
        USUAL.replace(b"POST", b"post"),
        USUAL.replace(b"POST", b"CONNECT"),
        USUAL.replace(b"HTTP/1.1", b"HTTP/1.0"),
        USUAL.replace(b"/v1", b"//v1"),
        USUAL.replace(b"/v1", b"http://a/v1"),
        USUAL.replace(b"?a=1", b"#a"),
        USUAL.replace(b"?a=1", b"\xe9"),
        USUAL.replace(b" HTTP", b"  HTTP"),
        USUAL.replace(b"\r\nHost", b"\nHost"),
        USUAL.replace(b"Host:", b"Host :"),
        USUAL.replace(b"Host:", b" Host:"),
        USUAL.replace(b"Host:", b"Ho\x00st:"),
        USUAL.replace(b"localhost", b"local\x00host"),
        USUAL.replace(b"localhost", b"local\rhost"),
        USUAL.replace(b"User-Agent", b"User_Agent"),
        USUAL.replace(b"User-Agent: curl/8.0", b"User-Agent: curl\r\n /8.0"),
        USUAL.replace(b"User-Agent", b"Host"),
        USUAL.replace(b"User-Agent: curl/8.0", b"Content-Type: text/plain"),
        USUAL.replace(b"User-Agent: curl/8.0", b"Content-Length: 17"),
        USUAL.replace(b"User-Agent: curl/8.0", b"Transfer-Encoding: chunked"),
        USUAL.replace(b"User-Agent: curl/8.0", b"Expect: 100-continue"),
        USUAL.replace(b"User-Agent: curl/8.0", b"Upgrade: h2c"),
        USUAL.replace(b"User-Agent: curl/8.0", b"Connection: keep-alive, close"),
        USUAL.replace(b"User-Agent: curl/8.0", b"X-Forwarded-Proto: https"),
        USUAL.replace(b"Length: 17", b"Length: +17"),
        USUAL.replace(b"Length: 17", b"Length: 0x11"),
        USUAL.replace(b"Length: 17", b"Length: 17, 17"),
        USUAL.replace(b"Length: 17", b"Length: \xb2"),
        USUAL.replace(b"Length: 17", b"Length:"),
        USUAL.replace(b"Length: 17", b"Length: 99999999999"),
        USUAL.replace(b"\r\n\r\n", b"\r\n" + b"A: b\r\n" * 60 + b"\r\n"),
        USUAL.replace(b"curl", b"c" * 5000),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET\r\n",
        b"get / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nHost: a\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"G" * 30,
    ],
    ids=lambda data: repr(data[:60]),
)
def test_these_are_not_plain(data):
    assert read_head(data) is None


def test_every_beginning_of_a_plain_head_may_become_one():
    for end in range(1, len(USUAL)):
        assert read_head(USUAL[:end]) is Incomplete.HEAD, USUAL[:end]


WORDS = (
    "GET |POST |/|/x?y|#| HTTP/1.1|:| |,|Host: a|Content-Length: 2|Content-Length:|Transfer-Encoding: chunked|_|5|+|%2e|X-A: b"
)
MORE_WORDS = "Connection: close|Expect: 100-continue|TE: trailers|\r\n|\n|\r|\t|\x00|\x0b|\x1c|\x7f|\x85|\xb2|\xe9"
PIECES = st.sampled_from([word.encode("latin-1") for word in f"{WORDS}|{MORE_WORDS}".split("|")])


@st.composite
def mutants(draw) -> bytes:
    """A usual request with pieces put in, taken out or doubled."""
    data = bytearray(USUAL + b'{"instances":[1]}GET / HTTP/1.1\r\n\r\n')
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["put", "cut", "double", "flip"])):
            case "put":
                data[at:at] = draw(PIECES)
            case "cut":
                del data[at : at + draw(st.integers(1, 4))]
            case "double":
                data[at:at] = data[at : at + draw(st.integers(1, 40))]
            case "flip" if at < len(data):
                data[at] = draw(st.integers(0, 255))
    return bytes(data)


@settings(max_examples=1500, deadline=None)
@given(mutants())
def test_whatever_is_plain_is_what_gunicorn_makes_of_it(data):
    if isinstance(read_head(data), Head):
        assert_same(data)


def test_of_a_request_that_is_refused_as_much_is_known_as_has_come_whole():
    assert (begun(b"POST").method, begun(b"POST /pre").uri, begun(b"").fields) == ("POST", "/pre", ())
    head = begun(b"POST /predict HTTP/1.1\r\nHost: x\r\nx-request-id:  one \r\nX-Other: ha")
    assert (head.uri, head.fields, head.closes) == ("/predict", (("HOST", "x"), ("X-REQUEST-ID", "one")), True)
    assert begun(b"POST / HTTP/1.1\r\nHost: x\r\n\r\nPOST /other").fields == (("HOST", "x"),)
