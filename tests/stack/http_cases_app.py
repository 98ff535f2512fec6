"""What an application may do and may not: rules that the gateway's own routes never need, for the worker classes themselves."""

from tests.stack.http_app import BAD_HEADERS, GOOD_HEADERS, STATUSES
from tests.stack.http_case import Case, cases
from tests.stack.http_wire import HALF_CLOSE

BODY = b"first\nsecond\nthird"


def get(path: str, fields: bytes = b"", version: bytes = b"1.1", method: bytes = b"GET") -> bytes:
    return method + b" " + path.encode() + b" HTTP/" + version + b"\r\nHost: gateway\r\n" + fields + b"\r\n"


def head(path: str) -> bytes:
    return get(path, method=b"HEAD")


def post(path: str, fields: bytes = b"", body: bytes = BODY) -> bytes:
    return get(path, b"Content-Length: %d\r\n" % len(body) + fields, method=b"POST") + body


def chunked(path: str, fields: bytes = b"") -> bytes:
    data = b"5\r\nfirst\r\n%x\r\n" % len(BODY[5:]) + BODY[5:] + b"\r\n0\r\n\r\n"
    return get(path, b"Transfer-Encoding: chunked\r\n" + fields, method=b"POST") + data


def old(path: str, fields: bytes = b"") -> bytes:
    return get(path, fields, b"1.0")


# What is no status line is an error of the application.
LINES = {
    **dict.fromkeys(("no-reason", "empty-reason", "latin"), "200 closed"),
    "unknown-code": "299 closed",
    "code-999": "999 closed",
}
STATUS = cases(
    "status",
    ("204", "204 kept", get("/status/204")),
    ("204 with a length", "204 kept", get("/status/204?length=0")),
    ("204 with a body", "204 kept", get("/status/204?body=hello")),
    ("204 with a length and a body", "204 kept", get("/status/204?length=5&body=hello")),
    ("204 to HEAD", "204/HEAD kept", head("/status/204")),
    ("204 to POST", "204 kept", post("/status/204")),
    ("204 in 1.0", "204 closed", old("/status/204")),
    ("204 in 1.0, kept alive", "204 kept", old("/status/204", b"Connection: keep-alive\r\n")),
    ("204 and close", "204 closed", get("/status/204", b"Connection: close\r\n")),
    ("204 twice", "204 204 kept", get("/status/204") * 2),
    ("304", "304 kept", get("/status/304")),
    ("304 with a length", "304 kept", get("/status/304?length=5")),
    ("304 with a body", "304 kept", get("/status/304?body=hello")),
    ("304 with a length and a body", "304 kept", get("/status/304?length=5&body=hello")),
    ("304 to HEAD", "304/HEAD kept", head("/status/304?length=5")),
    ("304 in 1.0, kept alive", "304 kept", old("/status/304", b"Connection: keep-alive\r\n")),
    ("205", "205 kept", get("/status/205?length=0")),
    ("205 without a length", "205 kept", get("/status/205")),
    ("206", "206 kept", get("/status/206?length=5&body=hello")),
    ("301", "301 kept", get("/status/301?length=0")),
    ("401", "401 kept", get("/status/401?length=5&body=hello")),
    ("404 to HEAD", "404/HEAD kept", head("/status/404?length=5&body=hello")),
    ("413 before the body is read", "413 kept", chunked("/status/413?length=5&body=hello")),
    ("417", "417 kept", get("/status/417?length=0")),
    ("500", "500 kept", get("/status/500?length=5&body=hello")),
    ("503 without a length", "503 kept", get("/status/503?body=hello")),
    ("599", "599 kept", get("/status/599?length=0")),
    ("100 by the application", "100 closed", get("/status/100", b"Connection: close\r\n")),
    ("101 by the application", "101 closed", get("/status/101", b"Connection: close\r\n")),
    ("103 by the application", "103 closed", get("/status/103", b"Connection: close\r\n")),
    *(
        (f"line: {name}", LINES.get(name, "500 closed"), get(f"/status-line?{name}", b"Connection: close\r\n"))
        for name in STATUSES
    ),
)

FRAMES = cases(
    "answer",
    ("with a length", "200 kept", get("/healthz")),
    ("streamed", "200 kept", get("/stream")),
    ("streamed, twice", "200 200 kept", get("/stream") * 2),
    ("streamed to HEAD", "200/HEAD kept", head("/stream")),
    ("streamed to 1.0", "200 closed", old("/stream")),
    ("streamed to 1.0, kept alive", "200 closed", old("/stream", b"Connection: keep-alive\r\n")),
    ("streamed and close", "200 closed", get("/stream", b"Connection: close\r\n")),
    ("streamed to 1.2", "200 kept", get("/stream", version=b"1.2")),
    ("from a generator", "200 kept", get("/generator")),
    ("of nothing", "200 kept", get("/stream-of-nothing")),
    ("of nothing, to 1.0", "200 closed", old("/stream-of-nothing")),
    ("with empty pieces", "200 kept", get("/stream-with-empty-pieces")),
    ("of many pieces", "200 kept", get("/stream-of-many")),
    ("of many pieces, to 1.0", "200 closed", old("/stream-of-many")),
    ("of 3 MB", "200 kept", get("/large")),
    ("of 3 MB, three times", "200 200 200 kept", get("/large") * 3),
    ("of 3 MB to HEAD", "200/HEAD kept", head("/large")),
    ("of 2.6 MB, streamed", "200 kept", get("/large-stream")),
    ("length too small", "200 kept", get("/length-too-small")),
    ("length too small, in one piece", "200 kept", get("/length-too-small-in-one-piece")),
    ("length too large", "closed", get("/length-too-large", b"Connection: close\r\n")),
    ("length that is none", "500 closed", get("/length-that-is-none")),
    ("length of zero", "200 kept", get("/length-of-zero")),
    ("length twice", "200 kept", get("/length-twice")),
    ("by write()", "200 kept", get("/write")),
    ("by write() to HEAD", "200/HEAD kept", head("/write")),
    ("by write() to 1.0", "200 closed", old("/write")),
    ("by write() and more", "200 kept", get("/write-and-iterate")),
    ("by write() of text", "closed", get("/write-text")),
    ("of bytes, one at a time", "closed", get("/return-bytes")),
    ("a file", "200 kept", get("/file")),
    ("a file, twice", "200 200 kept", get("/file") * 2),
    ("a file to HEAD", "200/HEAD kept", head("/file")),
    ("a file to 1.0", "200 closed", old("/file")),
    ("a file without a length", "200 kept", get("/file-without-length")),
    ("a file without a length, to HEAD", "200/HEAD kept", head("/file-without-length")),
    ("a file without a length, to 1.0", "200 closed", old("/file-without-length")),
    ("a file from the middle", "200 kept", get("/file-from-the-middle")),
    ("a file that has no number", "200 kept", get("/file-without-a-number")),
    ("a file and 204", "204 kept", get("/file-and-204")),
    ("early hints", "103 103 200 kept", get("/early-hints")),
    ("early hints to 1.0", "200 closed", old("/early-hints")),
    ("early hints to HEAD", "103 103 200/HEAD kept", head("/early-hints")),
    ("early hints that are bad", "500 closed", get("/early-hints-that-are-bad")),
    ("early hints too late", "200 kept", get("/early-hints-too-late")),
    ("words for the log", "200 kept", get("/errors")),
)

FAILURES = cases(
    "failure",
    ("at once", "500 closed", get("/raise-at-once")),
    ("at once, to HEAD", "500/HEAD closed", head("/raise-at-once")),
    ("at once, to 1.0", "500 closed", old("/raise-at-once")),
    ("at once, with a body", "500 closed", post("/raise-at-once")),
    ("at once, then another request", "500 closed", get("/raise-at-once") + get("/healthz")),
    ("after start_response", "500 closed", get("/raise-after-start")),
    ("before the first piece", "500 closed", get("/raise-before-the-first-piece")),
    ("after the first piece", "closed", get("/raise-after-the-first-piece")),
    ("after the first piece, to 1.0", "200 closed", old("/raise-after-the-first-piece")),
    ("after the first piece, then another request", "closed", get("/raise-after-the-first-piece") + get("/healthz")),
    ("in the middle of a length", "closed", get("/raise-in-the-middle-of-a-length")),
    ("in close()", "200 closed", get("/raise-in-close")),
    ("an OSError", "closed", get("/raise-os-error")),
    ("a broken pipe of its own", "closed", get("/raise-broken-pipe")),
    ("StopIteration", "closed", get("/raise-stop-iteration")),
    ("starts twice", "500 closed", get("/start-twice")),
    ("starts twice with a reason", "500 kept", get("/start-twice-with-a-reason")),
    ("starts again too late", "closed", get("/start-again-too-late")),
    ("never starts", "500 closed", get("/never-start")),
    ("never starts, and nothing", "500 closed", get("/never-start-and-nothing")),
    ("returns None", "500 closed", get("/return-none")),
    ("returns text", "closed", get("/return-text")),
    ("in pre_request", "500 closed", get("/raise-in-pre-request")),
    ("in post_request", "200 kept", get("/raise-in-post-request")),
    ("the server goes on", "200 kept", get("/healthz")),
)

HEADERS = cases(
    "header",
    *((f"bad: {name}", "500 closed", get(f"/header?{name}")) for name in BAD_HEADERS),
    *((f"good: {name}", "200 kept", get(f"/header?{name}")) for name in GOOD_HEADERS),
    *((f"streamed: {name}", "200 kept", get(f"/streamed-header?{name}")) for name in GOOD_HEADERS),
)

BODIES = cases(
    "body",
    *(
        (f"{name}, {kind}", "200 200 kept", make(f"/{name}") + get("/healthz"))
        for name in (
            *("read-all", "read-some", "read-to-the-end-by-pieces", "read-lines", "read-by-iteration", "read-with-minus-one"),
            *("read-after-the-start", "healthz"),
        )
        for kind, make in (("length", post), ("chunks", chunked), ("none", get))
    ),
    ("read in 1.0", "200 closed", get("/read-all", b"Content-Length: 18\r\n", b"1.0", b"POST") + BODY),
    ("ends early", "200 closed", get("/read-all", b"Content-Length: 50\r\n", method=b"POST") + BODY, HALF_CLOSE),
    ("ends early, by lines", "200 closed", get("/read-lines", b"Content-Length: 50\r\n", method=b"POST") + BODY, HALF_CLOSE),
    ("ends early, never read", "200 closed", get("/healthz", b"Content-Length: 50\r\n", method=b"POST") + BODY, HALF_CLOSE),
    ("bad chunks, read", "400 closed", get("/read-all", b"Transfer-Encoding: chunked\r\n", method=b"POST") + b"zz\r\n"),
    ("bad chunks, never read", "200 400 closed",
     get("/healthz", b"Transfer-Encoding: chunked\r\n", method=b"POST") + b"zz\r\n"),
    ("bad chunks, read after the start", "closed",
     get("/read-after-the-start", b"Transfer-Encoding: chunked\r\n", method=b"POST") + b"zz\r\n"),
    ("Expect, read", "100 200 kept", post("/read-all", b"Expect: 100-continue\r\n")),
    ("Expect, never read", "100 200 kept", post("/healthz", b"Expect: 100-continue\r\n")),
    ("Expect, refused", "100 413 kept", post("/status/413?length=0", b"Expect: 100-continue\r\n")),
    ("60,000 bytes, read", "200 kept", post("/read-some", body=b"x" * 60_000)),
    ("60,000 bytes, never read", "200 200 kept", post("/healthz", body=b"x" * 60_000) + get("/healthz")),
    ("100,000 bytes, never read", "200 closed", post("/healthz", body=b"x" * 100_000)),
    ("800,000 bytes, refused", "404 closed", post("/status/404?length=0", body=b"x" * 800_000)),
    ("2,000,000 bytes, refused", "503 closed", post("/status/503?length=0", body=b"x" * 2_000_000)),
    ("2,000,000 bytes, read by lines", "200 200 kept",
     post("/read-lines", body=b"x" * 99 + b"\n" + b"y" * 1_999_900) + get("/healthz")),
    ("gzip stays gzip", "200 kept", post("/read-all", b"Content-Encoding: gzip\r\n")),
)  # fmt: skip

ENVIRON = cases(
    "environ",
    ("plain", "200 kept", get("/e")),
    ("HEAD", "200/HEAD kept", head("/e")),
    ("POST", "200 kept", post("/e")),
    ("POST with chunks", "200 kept", chunked("/e")),
    ("1.0", "200 closed", old("/e")),
    ("1.2", "200 kept", get("/e", version=b"1.2")),
    ("OPTIONS *", "200 kept", get("*", method=b"OPTIONS")),
    ("CONNECT", "200 closed", get("a.example:443", method=b"CONNECT")),
    ("another method", "200 kept", get("/e", method=b"PURGE")),
    ("query", "200 kept", get("/e?a=1&b=%20+c&d")),
    ("empty query", "200 kept", get("/e?")),
    ("fragment", "200 kept", get("/e?a#b")),
    ("question marks", "200 kept", get("/e??a=?b")),
    ("escapes", "200 kept", get("/e/%41%2f%25%00%0d%0a/%C3%A9/%ff")),
    ("bad escapes", "200 kept", get("/e/%/%4/%zz/%%41")),
    ("plus", "200 kept", get("/e/a+b")),
    ("slashes", "200 kept", get("//e//f/")),
    ("dots", "200 kept", get("/e/../f/./g")),
    ("semicolons, commas, equals", "200 kept", get("/e;a=1,2;b")),
    ("marks that need no escape", "200 kept", get("/e/-._~!$&'()*,;=:@")),
    ("marks that do", "200 kept", get("/e/\"<>\\^`{|}[]")),
    ("absolute", "200 kept", get("http://a.example:81/e/f?g#h")),
    ("absolute without a path", "200 kept", get("http://a.example?q")),
    ("one slash", "200 kept", get("/")),
    ("Host", "200 kept", b"GET /e HTTP/1.1\r\nHost: a.example:82\r\n\r\n"),
    ("no Host", "200 kept", b"GET /e HTTP/1.1\r\n\r\n"),
    ("Content-Type and Content-Length", "200 kept", get("/e", b"Content-Type: a/b; c=d\r\nContent-Length: 0\r\n")),
    ("a length with zeros", "200 kept", get("/e", b"Content-Length: 000\r\n")),
    ("repeated fields", "200 kept", get("/e", b"X-A: 1\r\nX-B: 2\r\nx-a: 3\r\nX-A:\r\n")),
    ("repeated cookies", "200 kept", get("/e", b"Cookie: a=1\r\nCookie: b=2\r\n")),
    ("blanks around values", "200 kept", get("/e", b"X-A:  1 \t\r\nX-B:\t\r\n")),
    ("bytes above 127", "200 kept", get("/e", b"X-A: caf\xe9 \xff\r\n")),
    ("marks in names", "200 kept", get("/e", b"X!#$%&'*+.^`|~: 1\r\n")),
    ("underscores", "200 kept", get("/e", b"X_A: 1\r\nX-A: 2\r\nCONTENT_LENGTH: 5\r\n")),
    ("Proxy", "200 kept", get("/e", b"Proxy: evil\r\n")),
    ("Connection", "200 closed", get("/e", b"Connection: close\r\n")),
    ("Expect", "100 200 kept", get("/e", b"Expect: 100-continue\r\n")),
    ("Upgrade", "200 kept", get("/e", b"Connection: Upgrade\r\nUpgrade: h2c\r\n")),
    ("TE and Trailer", "200 kept", get("/e", b"TE: trailers\r\nTrailer: X-A\r\n")),
    ("Authorization", "200 kept", get("/e", b"Authorization: Basic YTpi\r\n")),
    ("the second of two", "200 200 kept", get("/healthz") + get("/e", b"X-A: 1\r\n")),
    ("after a body", "200 200 kept", post("/read-all") + get("/e")),
    ("X-Forwarded-For", "200 kept", get("/e", b"X-Forwarded-For: 192.0.2.1\r\n")),
    ("X-Forwarded-Proto: https", "200 kept", get("/e", b"X-Forwarded-Proto: https\r\n")),
    ("X-Forwarded-Proto: HTTPS", "200 kept", get("/e", b"X-Forwarded-Proto: HTTPS\r\n")),
    ("X-Forwarded-Proto: http", "200 kept", get("/e", b"X-Forwarded-Proto: http\r\n")),
    ("X-Forwarded-Ssl: on", "200 kept", get("/e", b"X-Forwarded-Ssl: on\r\n")),
    ("X-Forwarded-Protocol: ssl", "200 kept", get("/e", b"X-Forwarded-Protocol: ssl\r\n")),
    ("two that agree", "200 kept", get("/e", b"X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: on\r\n")),
    ("two that differ", "400 closed", get("/e", b"X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off\r\n")),
    ("the same twice", "200 kept", get("/e", b"X-Forwarded-Proto: https\r\n" * 2)),
    ("the same twice, different", "400 closed", get("/e", b"X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n")),
    ("SCRIPT_NAME", "200 kept", get("/e/f", b"SCRIPT_NAME: /e\r\n")),
    ("SCRIPT_NAME that does not fit", "500 closed", get("/e/f", b"SCRIPT_NAME: /x\r\n")),
    ("SCRIPT-NAME", "200 kept", get("/e/f", b"SCRIPT-NAME: /e\r\n")),
    ("PATH_INFO", "200 kept", get("/e/f", b"PATH_INFO: /x\r\n")),
    ("Forwarded", "200 kept", get("/e", b"Forwarded: for=192.0.2.1;proto=https\r\n")),
    ("a PROXY line", "400 closed", b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n" + get("/e")),
)  # fmt: skip

CASES: list[Case] = [*STATUS, *FRAMES, *FAILURES, *HEADERS, *BODIES, *ENVIRON]
