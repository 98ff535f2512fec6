"""Header fields: their syntax, their number and size, those that must come once, and those that must have no effect."""

from tests.gateway.server.http_case import cases

GOOD = b'{"instances": [[1.0, 2.0]]}'


def get(fields: bytes) -> bytes:
    """A GET with ``fields``, each with its end of line, behind Host."""
    return b"GET /healthz HTTP/1.1\r\nHost: gateway\r\n" + fields + b"\r\n"


def post(fields: bytes, body: bytes = GOOD) -> bytes:
    """A prediction with a good length, and ``fields``."""
    head = b"POST /v1/models/m:predict HTTP/1.1\r\nHost: gateway\r\nContent-Length: %d\r\n" % len(body)
    return head + fields + b"\r\n" + body


def bare(head: bytes) -> bytes:
    return b"GET /healthz HTTP/1.1\r\n" + head


def sized(size: int) -> bytes:
    """A field whose line has ``size`` bytes, its end counted."""
    return b"X-Long: " + b"a" * (size - 10) + b"\r\n"


def many(number: int) -> bytes:
    return b"".join(b"X-%d: 1\r\n" % place for place in range(number))


SYNTAX = cases(
    "field",
    ("plain", "200 kept", get(b"X-A: 1\r\n")),
    ("no space behind the colon", "200 kept", get(b"X-A:1\r\n")),
    ("many spaces around the value", "200 kept", get(b"X-A:    1   \r\n")),
    ("tabs around the value", "200 kept", get(b"X-A:\t1\t\r\n")),
    ("tab inside the value", "200 kept", get(b"X-A: 1\t2\r\n")),
    ("empty value", "200 kept", get(b"X-A:\r\n")),
    ("blank value", "200 kept", get(b"X-A:   \r\n")),
    ("value of colons", "200 kept", get(b"X-A: :::\r\n")),
    ("no colon", "400 closed", get(b"X-A\r\n")),
    ("no colon, with a space", "400 closed", get(b"X-A 1\r\n")),
    ("colon only", "400 closed", get(b":\r\n")),
    ("empty name", "400 closed", get(b": 1\r\n")),
    ("blank name", "400 closed", get(b" : 1\r\n")),
    ("space before the colon", "400 closed", get(b"X-A : 1\r\n")),
    ("tab before the colon", "400 closed", get(b"X-A\t: 1\r\n")),
    ("space in the name", "400 closed", get(b"X A: 1\r\n")),
    ("space before the name", "400 closed", get(b" X-A: 1\r\n")),
    ("tab before the name", "400 closed", get(b"\tX-A: 1\r\n")),
    ("first field indented", "400 closed", bare(b" Host: gateway\r\n\r\n")),
    ("folded with a space", "400 closed", get(b"X-A: 1\r\n 2\r\n")),
    ("folded with a tab", "400 closed", get(b"X-A: 1\r\n\t2\r\n")),
    ("folded, empty", "400 closed", get(b"X-A: 1\r\n \r\n")),
    ("folded Host", "400 closed", bare(b"Host: gate\r\n way\r\n\r\n")),
    ("null byte in the name", "400 closed", get(b"X\x00A: 1\r\n")),
    ("null byte in the value", "400 closed", get(b"X-A: 1\x002\r\n")),
    ("bell in the value", "400 closed", get(b"X-A: \x07\r\n")),
    ("escape in the value", "400 closed", get(b"X-A: \x1b[31m\r\n")),
    ("DEL in the value", "400 closed", get(b"X-A: \x7f\r\n")),
    ("vertical tab in the value", "400 closed", get(b"X-A: 1\x0b2\r\n")),
    ("form feed at the value's end", "400 closed", get(b"X-A: 1\x0c\r\n")),
    ("bytes above 127 in the value", "200 kept", get(b"X-A: caf\xe9\r\n")),
    ("UTF-8 in the value", "200 kept", get("X-A: é漢\r\n".encode())),
    ("a no-break space at the value's end", "200 kept", get(b"X-A: 1\xa0\r\n")),
    ("NEL in the value", "200 kept", get(b"X-A: 1\x852\r\n")),
    ("bytes above 127 in the name", "400 closed", get(b"X-\xe9: 1\r\n")),
    ("sharp s in the name", "400 closed", get(b"X-\xdf: 1\r\n")),
    ("bare LF ends a field", "400 closed", get(b"X-A: 1\nX-B: 2\r\n")),
    ("bare LF ends the last field", "400 closed", bare(b"Host: gateway\r\nX-A: 1\n\r\n")),
    ("bare LF ends the head", "400 closed", bare(b"Host: gateway\r\nX-A: 1\r\n\n")),
    ("bare CR in the value", "400 closed", get(b"X-A: 1\r2\r\n")),
    ("bare CR at the value's end", "400 closed", get(b"X-A: 1\r\r\n")),
    ("bare CR before the name", "400 closed", get(b"\rX-A: 1\r\n")),
    ("bare CR in the name", "400 closed", get(b"X\r-A: 1\r\n")),
    ("parentheses in the name", "400 closed", get(b"X(A): 1\r\n")),
    ("comma in the name", "400 closed", get(b"X,A: 1\r\n")),
    ("slash in the name", "400 closed", get(b"X/A: 1\r\n")),
    ("brackets in the name", "400 closed", get(b"X[A]: 1\r\n")),
    ("braces in the name", "400 closed", get(b"X{A}: 1\r\n")),
    ("quotes in the name", "400 closed", get(b'"X": 1\r\n')),
    ("at sign in the name", "400 closed", get(b"X@A: 1\r\n")),
    ("equals sign in the name", "400 closed", get(b"X=A: 1\r\n")),
    ("question mark in the name", "400 closed", get(b"X?: 1\r\n")),
    ("semicolon in the name", "400 closed", get(b"X;A: 1\r\n")),
    ("backslash in the name", "400 closed", get(b"X\\A: 1\r\n")),
    ("every mark that a name may have", "200 kept", get(b"X!#$%&'*+-.^`|~9: 1\r\n")),
    ("underscore in the name", "200 kept", get(b"X_A: 1\r\n")),
    ("underscore and hyphen of the same name", "200 kept", get(b"X-Request-Id: mine\r\nX_Request_Id: other\r\n")),
    ("underscore alone for an id", "200 kept", get(b"X_Request_Id: other\r\n")),
    ("Content_Length is nobody's length", "200 kept", get(b"Content_Length: 50\r\n")),
    ("Transfer_Encoding is no encoding", "200 kept", get(b"Transfer_Encoding: chunked\r\n")),
    ("HTTP_HOST", "200 kept", get(b"HTTP_HOST: evil.example\r\n")),
    ("names in capitals", "200 kept", b"GET /healthz HTTP/1.1\r\nHOST: gateway\r\nX-REQUEST-ID: mine\r\n\r\n"),
    ("names in small letters", "200 kept", b"GET /healthz HTTP/1.1\r\nhost: gateway\r\nx-request-id: mine\r\n\r\n"),
    ("no fields at all", "400 closed", bare(b"\r\n")),
)

LIMITS = cases(
    "limit",
    ("98 more fields", "200 kept", get(many(98))),
    ("99 more fields: one hundred", "200 kept", get(many(99))),
    ("100 more fields: one too many", "431 closed", get(many(100))),
    ("1000 fields", "431 closed", get(many(1000))),
    ("one hundred on a prediction", "200 kept", post(many(98))),
    ("one too many on a prediction", "431 closed", post(many(99))),
    ("fields that are dropped are counted as well", "431 closed", get(b"X_A: 1\r\n" * 100)),
    ("a field of 60,000 bytes", "200 kept", get(sized(60_000))),
    ("a field of 65,530 bytes: with the others too much", "431 closed", get(sized(65_530))),
    ("a field of 100,000 bytes", "431 closed", get(sized(100_000))),
    ("a name of 60,000 bytes", "200 kept", get(b"X" * 60_000 + b": 1\r\n")),
    ("a name of 66,000 bytes", "431 closed", get(b"X" * 66_000 + b": 1\r\n")),
    ("sixty-four fields of 1000 bytes", "200 kept", get(sized(1000) * 64)),
    ("sixty-seven fields of 1000 bytes", "431 closed", get(sized(1000) * 67)),
    ("an endless field", "431 closed", b"GET /healthz HTTP/1.1\r\nX-Long: " + b"a" * 850_000),
    ("endless fields", "431 closed", b"GET /healthz HTTP/1.1\r\n" + sized(8000) * 110),
    (
        "many cookies in one field",
        "200 kept",
        get(b"Cookie: " + b"; ".join(b"c%d=1" % place for place in range(500)) + b"\r\n"),
    ),
    ("many Cookie fields", "200 kept", get(b"Cookie: a=1\r\n" * 50)),
    ("a field that is long and folded", "400 closed", get(b"X-A: 1\r\n" + b" 2\r\n" * 3000)),
)

ONCE = cases(
    "repeated",
    ("HTTP/1.1 without Host", "400 closed", bare(b"X-A: 1\r\n\r\n")),
    ("HTTP/1.0 without Host", "200 closed", b"GET /healthz HTTP/1.0\r\n\r\n"),
    ("empty Host", "200 kept", bare(b"Host:\r\n\r\n")),
    ("Host twice, the same", "400 closed", get(b"Host: gateway\r\n")),
    ("Host twice, different", "400 closed", get(b"Host: evil.example\r\n")),
    ("Host twice, in HTTP/1.0", "400 closed", b"GET /healthz HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
    ("Host in two cases", "400 closed", get(b"hOST: gateway\r\n")),
    ("Host with a port", "200 kept", bare(b"Host: gateway:8080\r\n\r\n")),
    ("Host with a user", "400 closed", bare(b"Host: user@gateway\r\n\r\n")),
    ("Host with a path", "400 closed", bare(b"Host: gateway/evil\r\n\r\n")),
    ("Host with a space", "400 closed", bare(b"Host: gate way\r\n\r\n")),
    ("Host as a list", "400 closed", bare(b"Host: a, b\r\n\r\n")),
    ("Host with bytes above 127", "400 closed", bare(b"Host: g\xe9\r\n\r\n")),
    ("Host with a bad port", "400 closed", bare(b"Host: gateway:x\r\n\r\n")),
    ("Host of 2000 bytes", "200 kept", bare(b"Host: " + b"h" * 2000 + b"\r\n\r\n")),
    ("Content-Type twice, the same", "400 closed", post(b"Content-Type: application/json\r\n" * 2)),
    ("Content-Type twice, different", "400 closed", post(b"Content-Type: application/json\r\nContent-Type: text/plain\r\n")),
    ("Content-Type in two cases", "400 closed", post(b"Content-Type: text/plain\r\ncontent-type: text/plain\r\n")),
    ("Content-Type with an underscore beside it", "200 kept", post(b"Content-Type: text/plain\r\nContent_Type: text/html\r\n")),
    ("Accept twice", "200 kept", get(b"Accept: a/b\r\nAccept: c/d\r\n")),
    ("Authorization twice", "200 kept", get(b"Authorization: a\r\nAuthorization: b\r\n")),
    ("Content-Encoding twice", "200 kept", post(b"Content-Encoding: identity\r\nContent-Encoding: identity\r\n")),
    ("X-Request-Id twice", "200 kept", get(b"X-Request-Id: a\r\nX-Request-Id: b\r\n")),
    ("the same field fifty times", "200 kept", get(b"X-A: 1\r\n" * 50)),
)

WITHOUT_EFFECT = cases(
    "without effect",
    ("X-Forwarded-Proto", "200 kept", post(b"X-Forwarded-Proto: https\r\n")),
    (
        "X-Forwarded-Proto and X-Forwarded-Ssl that differ",
        "200 kept",
        post(b"X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off\r\n"),
    ),
    ("X-Forwarded-Protocol", "200 kept", post(b"X-Forwarded-Protocol: ssl\r\n")),
    ("X-Forwarded-For", "200 kept", post(b"X-Forwarded-For: 192.0.2.1, 192.0.2.2\r\n")),
    ("X-Forwarded-Host", "200 kept", post(b"X-Forwarded-Host: evil.example\r\n")),
    ("X-Forwarded-Prefix", "200 kept", post(b"X-Forwarded-Prefix: /evil\r\n")),
    ("Forwarded", "200 kept", post(b"Forwarded: for=192.0.2.1;proto=https\r\n")),
    ("SCRIPT_NAME", "200 kept", post(b"SCRIPT_NAME: /v1\r\n")),
    ("SCRIPT_NAME that does not fit", "200 kept", post(b"SCRIPT_NAME: /evil\r\n")),
    ("SCRIPT-NAME", "200 kept", post(b"SCRIPT-NAME: /v1\r\n")),
    ("PATH_INFO", "200 kept", post(b"PATH_INFO: /healthz\r\n")),
    ("REMOTE_USER", "200 kept", post(b"REMOTE_USER: root\r\n")),
    ("REMOTE_ADDR", "200 kept", post(b"REMOTE_ADDR: 192.0.2.1\r\n")),
    ("Remote-Addr", "200 kept", post(b"Remote-Addr: 192.0.2.1\r\n")),
    ("Proxy", "200 kept", post(b"Proxy: http://evil.example\r\n")),
    ("X-Original-URL", "200 kept", post(b"X-Original-URL: /healthz\r\n")),
    ("X-Rewrite-URL", "200 kept", post(b"X-Rewrite-URL: /healthz\r\n")),
    ("X-HTTP-Method-Override", "200 kept", post(b"X-HTTP-Method-Override: DELETE\r\n")),
    ("wsgi.url_scheme", "200 kept", post(b"wsgi.url_scheme: https\r\n")),
    ("Range", "200 kept", get(b"Range: bytes=0-3\r\n")),
    ("If-None-Match", "200 kept", get(b"If-None-Match: *\r\n")),
    ("If-Modified-Since", "200 kept", get(b"If-Modified-Since: Sat, 29 Oct 1994 19:43:31 GMT\r\n")),
    ("TE", "200 kept", get(b"TE: trailers, gzip\r\n")),
    ("Keep-Alive", "200 kept", get(b"Keep-Alive: timeout=1, max=1\r\n")),
    ("Proxy-Connection: close", "200 closed", get(b"Proxy-Connection: close\r\n")),
    ("Trailer without chunks", "200 kept", get(b"Trailer: X-A\r\n")),
    ("Max-Forwards", "200 kept", get(b"Max-Forwards: 0\r\n")),
    ("Via", "200 kept", get(b"Via: 1.0 proxy\r\n")),
    ("Origin", "200 kept", get(b"Origin: http://evil.example\r\n")),
    ("HTTP2-Settings alone", "200 kept", get(b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n")),
    ("Sec-WebSocket-Key", "200 kept", get(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n")),
    ("X-Sendfile", "200 kept", get(b"X-Sendfile: /etc/passwd\r\n")),
)

CASES = [*SYNTAX, *LIMITS, *ONCE, *WITHOUT_EFFECT]
