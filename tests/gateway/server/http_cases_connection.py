"""How long a connection lasts: Connection, Expect, Upgrade, pipelines, pieces, clients that stop half-way; plain answers."""

from tests.gateway.server.http_case import cases
from tests.gateway.server.http_wire import HALF_CLOSE, RESET

GOOD = b'{"instances": [[1.0, 2.0]]}'
OTHER = b'{"instances": [[3.0, 4.0], [5.0, 6.0]]}'
GET = b"GET /healthz HTTP/1.1\r\nHost: gateway\r\n\r\n"
LOST = b"GET /nothing HTTP/1.1\r\nHost: gateway\r\n\r\n"
BAD = b"GET /healthz HTTP/1.1\r\nHost : gateway\r\n\r\n"
PREDICT = b"POST /v1/models/m:predict HTTP/1.1\r\nHost: gateway\r\n"


def get(fields: bytes, version: bytes = b"1.1") -> bytes:
    return b"GET /healthz HTTP/" + version + b"\r\nHost: gateway\r\n" + fields + b"\r\n"


def post(body: bytes = GOOD, fields: bytes = b"") -> bytes:
    return PREDICT + b"Content-Length: %d\r\n" % len(body) + fields + b"\r\n" + body


def chunked(body: bytes = GOOD) -> bytes:
    return PREDICT + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"


def letter_by_letter(data: bytes, pause_s: float = 0.002) -> list[bytes | float]:
    return [piece for place in range(len(data)) for piece in (data[place : place + 1], pause_s)]


CONNECTION = cases(
    "connection",
    ("close", "200 closed", get(b"Connection: close\r\n")),
    ("Close", "200 closed", get(b"Connection: Close\r\n")),
    ("keep-alive", "200 kept", get(b"Connection: keep-alive\r\n")),
    ("Keep-Alive", "200 kept", get(b"Connection: Keep-Alive\r\n")),
    ("close and blanks", "200 closed", get(b"Connection:   close  \r\n")),
    ("close, then more requests", "200 closed", get(b"Connection: close\r\n") + GET + GET),
    ("close, keep-alive", "200 closed", get(b"Connection: close, keep-alive\r\n")),
    ("keep-alive, close", "200 closed", get(b"Connection: keep-alive, close\r\n")),
    ("keep-alive, upgrade", "200 kept", get(b"Connection: keep-alive, Upgrade\r\n")),
    ("two fields: close, keep-alive", "200 closed", get(b"Connection: close\r\nConnection: keep-alive\r\n")),
    ("two fields: keep-alive, close", "200 closed", get(b"Connection: keep-alive\r\nConnection: close\r\n")),
    ("two fields: keep-alive, keep-alive", "200 kept", get(b"Connection: keep-alive\r\nConnection: keep-alive\r\n")),
    ("two fields: x, close", "200 closed", get(b"Connection: x\r\nConnection: close\r\n")),
    ("empty", "200 kept", get(b"Connection:\r\n")),
    ("unknown", "200 kept", get(b"Connection: x-thing\r\n")),
    ("in quotes", "200 kept", get(b'Connection: "close"\r\n')),
    ("TE", "200 kept", get(b"TE: trailers\r\nConnection: TE\r\n")),
    ("names Host", "200 kept", get(b"Connection: Host\r\n")),
    ("1.0", "200 closed", get(b"", b"1.0")),
    ("1.0 keep-alive", "200 kept", get(b"Connection: keep-alive\r\n", b"1.0")),
    ("1.0 Keep-Alive", "200 kept", get(b"Connection: Keep-Alive\r\n", b"1.0")),
    ("1.0 keep-alive in a list", "200 kept", get(b"Connection: keep-alive, x\r\n", b"1.0")),
    ("1.0 close", "200 closed", get(b"Connection: close\r\n", b"1.0")),
    ("1.0 keep-alive twice over", "200 200 kept", get(b"Connection: keep-alive\r\n", b"1.0") * 2),
    ("1.0 keep-alive, then 1.1", "200 200 kept", get(b"Connection: keep-alive\r\n", b"1.0") + GET),
    ("1.0 keep-alive with a body", "200 kept",
     PREDICT.replace(b"1.1", b"1.0") + b"Connection: keep-alive\r\nContent-Length: 27\r\n\r\n" + GOOD),
    ("1.0, then another request", "200 closed", get(b"", b"1.0") + GET),
    ("1.1, then 1.0", "200 200 closed", GET + get(b"", b"1.0")),
    ("1.2 close", "400 closed", get(b"Connection: close\r\n", b"1.2")),
    ("close on a prediction", "200 closed", post(fields=b"Connection: close\r\n")),
    ("close on an error", "404 closed", b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
    ("close and a body that never comes", "408 late",
     b"POST /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 100\r\n\r\n"),
)  # fmt: skip

EXPECT = cases(
    "expect",
    ("100-continue, the body later", "100 200 kept",
     PREDICT + b"Expect: 100-continue\r\nContent-Length: 27\r\n\r\n", 0.1, GOOD),
    ("100-continue, the body at once", "200 kept", post(fields=b"Expect: 100-continue\r\n")),
    ("100-Continue", "200 kept", post(fields=b"Expect: 100-Continue\r\n")),
    ("100-CONTINUE", "200 kept", post(fields=b"EXPECT: 100-CONTINUE\r\n")),
    ("100-continue with chunks", "200 kept", chunked().replace(b"Host", b"Expect: 100-continue\r\nHost")),
    ("100-continue with chunks later", "100 200 kept",
     PREDICT + b"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n", 0.1, b"1b\r\n" + GOOD + b"\r\n0\r\n\r\n"),
    ("100-continue without a body", "200 kept", get(b"Expect: 100-continue\r\n")),
    ("100-continue and a length of 0", "200 kept", get(b"Expect: 100-continue\r\nContent-Length: 0\r\n")),
    ("100-continue on HEAD", "200/HEAD kept", get(b"Expect: 100-continue\r\n").replace(b"GET", b"HEAD")),
    ("100-continue in 1.0", "200 closed",
     PREDICT.replace(b"1.1", b"1.0") + b"Expect: 100-continue\r\nContent-Length: 27\r\n\r\n" + GOOD),
    ("100-continue twice", "200 kept", post(fields=b"Expect: 100-continue\r\nExpect: 100-continue\r\n")),
    ("100-continue and another", "417 closed", post(fields=b"Expect: 100-continue\r\nExpect: x\r\n")),
    ("100-continue in a list", "417 closed", post(fields=b"Expect: 100-continue, x\r\n")),
    ("100-continue with a blank", "200 kept", post(fields=b"Expect:  100-continue \r\n")),
    ("another value", "417 closed", post(fields=b"Expect: a-miracle\r\n")),
    ("another value in 1.0", "417 closed", get(b"Expect: a-miracle\r\n", b"1.0")),
    ("another value without a body", "417 closed", get(b"Expect: a-miracle\r\n")),
    ("200-ok", "417 closed", get(b"Expect: 200-ok\r\n")),
    ("empty", "417 closed", get(b"Expect:\r\n")),
    ("100-continue, then no body", "100 408 late", PREDICT + b"Expect: 100-continue\r\nContent-Length: 27\r\n\r\n"),
    ("100-continue, then half-closed", "100 400 closed",
     PREDICT + b"Expect: 100-continue\r\nContent-Length: 27\r\n\r\n", HALF_CLOSE),
    ("100-continue for a body over the limit", "413 closed",
     PREDICT + b"Expect: 100-continue\r\nContent-Length: 5000\r\n\r\n"),
    ("100-continue for what is not there", "100 408 late",
     b"POST /nothing HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 27\r\n\r\n"),
    ("100-continue for what is not there, the body at once", "404 kept",
     b"POST /nothing HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 27\r\n\r\n" + GOOD),
    ("100-continue for what is not there, with chunks", "100 408 late",
     b"POST /nothing HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ("100-continue for what is not there, without a body", "404 200 kept",
     b"GET /nothing HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n" + GET),
    ("100-continue with the wrong method", "100 408 late",
     PREDICT.replace(b"POST /v1/models/m:predict", b"PUT /predict") + b"Expect: 100-continue\r\nContent-Length: 27\r\n\r\n"),
    ("100-continue on two in a row", "200 200 kept", post(fields=b"Expect: 100-continue\r\n") * 2),
    ("100-continue, then a plain one", "200 200 kept", post(fields=b"Expect: 100-continue\r\n") + GET),
    ("a plain one, then 100-continue", "200 200 kept", GET + post(fields=b"Expect: 100-continue\r\n")),
)  # fmt: skip

UPGRADE = cases(
    "upgrade",
    ("h2c", "200 kept", get(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n")),
    ("h2c without settings", "200 kept", get(b"Connection: Upgrade\r\nUpgrade: h2c\r\n")),
    ("h2c with a body", "200 kept", post(fields=b"Connection: Upgrade\r\nUpgrade: h2c\r\n")),
    ("websocket", "200 kept",
     get(b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n")),
    ("Upgrade without Connection", "200 kept", get(b"Upgrade: websocket\r\n")),
    ("Connection: upgrade without Upgrade", "200 kept", get(b"Connection: upgrade\r\n")),
    ("TLS", "200 kept", get(b"Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n")),
    ("twice in a row", "200 200 kept", get(b"Connection: Upgrade\r\nUpgrade: h2c\r\n") * 2),
)  # fmt: skip

PIPELINES = cases(
    "pipeline",
    ("2", "200 200 kept", GET * 2),
    ("3", "200 200 200 kept", GET * 3),
    ("5", "200 200 200 200 200 kept", GET * 5),
    ("10", "200*10 kept", GET * 10),
    ("20", "200*20 kept", GET * 20),
    ("100", "200*100 kept", GET * 100),
    ("2 predictions", "200 200 kept", post() + post(OTHER)),
    ("10 predictions, their answers in order", "200*10 kept", (post() + post(OTHER)) * 5),
    ("20 predictions", "200*20 kept", post() * 20),
    ("GET and prediction by turns", "200 200 200 200 200 200 200 200 kept", (GET + post()) * 4),
    ("chunks first", "200 200 kept", chunked() + GET),
    ("chunks last", "200 200 kept", GET + chunked()),
    ("chunks by turns", "200 200 200 200 200 200 kept", (chunked() + post(OTHER)) * 3),
    ("chunks in the middle", "200 200 200 kept", GET + chunked() + GET),
    ("an error of the application in the middle", "200 404 200 kept", GET + LOST + GET),
    ("a bad body in the middle", "200 400 200 kept", post() + post(b"{") + post(OTHER)),
    ("a malformed one in the middle", "200 400 closed", GET + BAD + GET),
    ("a malformed one at the end", "200 200 200 400 closed", GET * 3 + BAD),
    ("a malformed one behind a prediction", "200 400 closed", post() + BAD),
    ("close in the middle", "200 200 closed", GET + get(b"Connection: close\r\n") + GET),
    ("HEAD, GET, HEAD", "200/HEAD 200 200/HEAD kept",
     GET.replace(b"GET", b"HEAD") + GET + GET.replace(b"GET", b"HEAD")),
    ("a body over the limit in the middle", "200 413 closed", GET + post(b" " * 2500) + GET),
    ("a body that is not read in the middle", "200 404 200 kept",
     GET + post().replace(b"/v1/models/m:predict", b"/nothing") + GET),
    ("a bad length in the middle", "200 400 closed", GET + PREDICT + b"Content-Length: x\r\n\r\n" + GET),
    ("Expect in the middle", "200 200 200 kept", GET + post(fields=b"Expect: 100-continue\r\n") + GET),
    ("2, half-closed", "gone", GET * 2, HALF_CLOSE),
    ("20, half-closed", "gone", GET * 20, HALF_CLOSE),
    ("predictions, half-closed", "gone", post() * 5, HALF_CLOSE),
    ("chunks, half-closed", "gone", chunked() * 2, HALF_CLOSE),
    ("and half a request, half-closed", "gone", GET * 2 + GET[:20], HALF_CLOSE),
    ("and half a request, then its rest", "200 200 200 kept", GET * 2 + GET[:20], 0.1, GET[20:]),
    ("and half a body, then its rest", "200 200 200 kept", GET + post()[:-5], 0.1, GET[:0] + post()[-5:] + GET),
    ("and half a request, then silence", "200 200 408 late", GET * 2 + GET[:20]),
    ("and half a body, then silence", "200 408 late", GET + post()[:-5]),
    ("long answers", "200 200 200 200 200 200 200 200 kept", b"GET /long HTTP/1.1\r\nHost: gateway\r\n\r\n" * 8),
    ("longer than one read", "200*12 kept", GET.replace(b"\r\n\r\n", b"\r\nX-A: " + b"a" * 3000 + b"\r\n\r\n") * 12),
    ("bodies that cross reads", "200*20 kept", post(GOOD + b" " * 1900) * 20),
    ("a request for each line", "404*10 kept",
     b"".join(b"GET /nothing/%d HTTP/1.1\r\nHost: x\r\n\r\n" % place for place in range(10))),
    ("with pauses", "200 200 200 200 kept", GET, 0.05, GET, 0.05, post(), 0.05, GET),
    ("one and a half, one and a half", "200 200 200 kept", GET + post()[:40], 0.05, post()[40:] + GET[:10], 0.05, GET[10:]),
)  # fmt: skip

PIECES = cases(
    "pieces",
    ("GET letter by letter", "200 kept", *letter_by_letter(GET)),
    ("prediction letter by letter", "200 kept", *letter_by_letter(post())),
    ("chunks letter by letter", "200 kept", *letter_by_letter(chunked())),
    ("head, then body", "200 kept", post()[: -len(GOOD)], 0.1, GOOD),
    ("head, half the body, the other half", "200 kept", post()[: -len(GOOD)], 0.05, GOOD[:9], 0.05, GOOD[9:]),
    ("head without its last byte, then it with the body", "200 kept", post()[: -len(GOOD) - 1], 0.05, b"\n" + GOOD),
    ("line by line", "200 kept", b"GET /healthz HTTP/1.1\r\n", 0.05, b"Host: x\r\n", 0.05, b"X-A: 1\r\n", 0.05, b"\r\n"),
    ("a CR, then its LF", "200 kept", b"GET /healthz HTTP/1.1\r", 0.05, b"\nHost: x\r", 0.05, b"\n\r", 0.05, b"\n"),
    ("a bad line letter by letter", "400 closed", *letter_by_letter(b"GET\t/healthz HTTP/1.1\r\n")),
    ("a bad field letter by letter", "400 closed", *letter_by_letter(BAD)),
    ("a long line in pieces", "414 closed", b"GET /", 0.02, b"a" * 5000, 0.02, b"b" * 5000, 0.02, b"c" * 5000),
    ("a long field in pieces", "431 closed",
     b"GET /healthz HTTP/1.1\r\nX-A: ", 0.02, b"a" * 50_000, 0.02, b"b" * 50_000, 0.02, b"\r\n\r\n"),
    ("many fields in pieces", "431 closed", b"GET /healthz HTTP/1.1\r\n", *([b"X-A: 1\r\n" * 26, 0.02] * 4), b"\r\n"),
    ("a body at the limit in pieces", "200 kept",
     PREDICT + b"Content-Length: 2000\r\n\r\n", 0.02, GOOD, *([0.01, b" " * 100] * 19), b" " * 73),
    ("three requests, one after the other", "200 200 200 kept", GET, 0.3, GET, 0.3, post()),
)  # fmt: skip

STOPPED = cases(
    "stopped",
    ("at once, half-closed", "closed", HALF_CLOSE),
    ("at once, silence", "late"),
    ("in the method", "closed", b"GE", HALF_CLOSE),
    ("in the method, silence", "408 late", b"GE"),
    ("in the target", "closed", b"GET /hea", HALF_CLOSE),
    ("in the line, silence", "408 late", b"GET /healthz HT"),
    ("behind the line", "closed", b"GET /healthz HTTP/1.1\r\n", HALF_CLOSE),
    ("behind the line, silence", "408 late", b"GET /healthz HTTP/1.1\r\n"),
    ("in a field", "closed", b"GET /healthz HTTP/1.1\r\nHost: ga", HALF_CLOSE),
    ("in a field, silence", "408 late", b"GET /healthz HTTP/1.1\r\nHost: ga"),
    ("behind the fields", "closed", b"GET /healthz HTTP/1.1\r\nHost: x\r\n", HALF_CLOSE),
    ("in the last CRLF", "closed", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r", HALF_CLOSE),
    ("behind the head", "400 closed", post()[: -len(GOOD)], HALF_CLOSE),
    ("behind the head, silence", "408 late", post()[: -len(GOOD)]),
    ("in the body", "400 closed", post()[:-5], HALF_CLOSE),
    ("in the body, silence", "408 late", post()[:-5]),
    ("in the body, slowly", "408 late", post()[:-5], 0.5, b"1", 0.5, b"2"),
    ("behind the request", "gone", GET, HALF_CLOSE),
    ("behind a prediction", "gone", post(), HALF_CLOSE),
    ("behind an error", "gone", LOST, HALF_CLOSE),
    ("behind a bad one", "400 closed", BAD, HALF_CLOSE),
    ("behind an answer, in the next", "200 closed", GET, 0.1, b"GET /he", HALF_CLOSE),
    ("behind an answer, in the next, silence", "200 408 late", GET, 0.1, b"GET /he"),
    ("a bad line without its end, silence", "400 closed", b"NONSENSE"),
    ("client gone: at once", "gone"),
    ("client gone: at once, reset", "gone", RESET),
    ("client gone: in the line", "gone", b"GET /he"),
    ("client gone: in the line, reset", "gone", b"GET /he", 0.02, RESET),
    ("client gone: in the head", "gone", b"GET /healthz HTTP/1.1\r\nHost: "),
    ("client gone: in the head, reset", "gone", b"GET /healthz HTTP/1.1\r\nHost: ", 0.02, RESET),
    ("client gone: behind the head", "gone", post()[: -len(GOOD)]),
    ("client gone: behind the answer", "gone", GET, 0.1),
    ("client gone: behind the answer, reset", "gone", GET, 0.1, RESET),
    ("client gone: before a long answer", "gone", b"GET /long HTTP/1.1\r\nHost: gateway\r\n\r\n"),
    ("client gone: before a long answer, reset", "gone", b"GET /long HTTP/1.1\r\nHost: gateway\r\n\r\n", 0.02, RESET),
    ("client gone: before a bad one's answer, reset", "gone", BAD, RESET),
)  # fmt: skip

ANSWERS = cases(
    "answer",
    ("to two predictions, one after the other", "200 200 kept", post(), 0.1, post(OTHER)),
    ("errors do not end a connection", "404 400 200 404 kept", LOST + post(b"{") + post() + LOST),
    ("a body on GET is passed over", "200 200 kept", GET[:-2] + b"Content-Length: 3\r\n\r\nabc" + GET),
    ("204 has neither a body nor a length", "204 200 kept", GET.replace(b"/healthz", b"/nocontent") + GET),
    ("a long one", "200 200 kept", GET.replace(b"/healthz", b"/large") + GET),
    ("none, because the application failed", "500 closed", GET.replace(b"/healthz", b"/fail") + GET),
    ("one whose body is no bytes is not sent", "500 closed", GET.replace(b"/healthz", b"/no-bytes") + GET),
    ("none, because it was cancelled", "closed", GET.replace(b"/healthz", b"/cancelled") + GET),
    ("a header with an end of line in it is not sent", "500 closed", GET.replace(b"/healthz", b"/bad-header") + GET),
)  # fmt: skip

CASES = [*CONNECTION, *EXPECT, *UPGRADE, *PIPELINES, *PIECES, *STOPPED, *ANSWERS]
