"""The requests that are sent both ways, by what they are about."""

import gzip
import io
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gateway.api.openinference.form import HEADER_LENGTH
from tests.conformance import case as conformance
from tests.stack.bad_input import CASES, LOOKUPS

MAX_BODY_BYTES = 200_000
PAGE = "https://app.example"
NPY, NPZ = "application/x-npy", "application/x-npz"
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND")


@dataclass(frozen=True, slots=True)
class Sent:
    """``target`` as it is on the wire. Where ``chunks`` is set, the body is sent in chunks of so many bytes."""

    id: str
    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    chunks: int = 0


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


V1, V2, SIMPLE = "/v1/models/m:predict", "/v2/models/m/infer", "/predict/m"
V1_GOOD, SIMPLE_GOOD = b'{"instances": [[1, 2], [3, 4]]}', b'{"x": [1, 2]}'
X = {"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3, 4]}
BINARY_X = {"name": "x", "datatype": "FP32", "shape": [2, 2], "parameters": {"binary_data_size": 16}}
FOUR = struct.pack("<4f", 1, 2, 3, 4)
V2_GOOD = json.dumps({"id": "a", "inputs": [X]}).encode()
GOOD = {V1: V1_GOOD, SIMPLE: SIMPLE_GOOD, V2: V2_GOOD}

ROUTES = (
    *("/", "/health", "/healthz", "/readyz", "/openapi.json", "/docs", "/docs/", "/docs/start.js", "/docs/nope"),
    *("/console", "/console/", "/console/x", "/console/x/app.js", "/console/x/vendor/htm-preact.js", "/admin/console/caller"),
    *("/docs/models/m", "/docs/models/nope", "/v1", "/v1/", "/V1/models/m", "/v1/models", "/v1/models/m", V1, "/v1/models/m:x"),
    *("/v1/models/m/metadata", "/v1/models/two_versions/versions/123", "/v1/models/two_versions/labels/stable:predict"),
    *(
        "/v1/models/half_plus_two:classify",
        "/v1/models/half_plus_two:regress",
        "/predict",
        SIMPLE,
        "/predict/",
        "/predict/nope",
    ),
    *("/v2", "/v2/", "/v2/health/live", "/v2/health/ready", "/v2/models/m", "/v2/models/m/ready", V2, "/v2/models/nope/infer"),
    *("/v2/models/m/versions/1", "/v2/models/m/versions/1/infer", "/v2/models/m/versions/9/ready", "/v2/repository/index"),
    *(
        "/v2/repository/models/m/load",
        "/v2/repository/models/m/unload",
        "/v2/nope",
        "/nothing/here",
        "/static/x",
        "/favicon.ico",
    ),
)

PATHS = (
    *("//", "//predict", "//v1/models/m", "//v1/models/m:predict", "/v1//models/m", "/v1/models//m", "/v1/models/m//metadata"),
    *(
        "/predict//m",
        "/predict/m/",
        "/predict/m/x",
        "/v2//models/m",
        "/v2/models//infer",
        "/v2/models/m/infer/",
        "/v2/models/m/",
    ),
    *(
        "/v1/models/m%3Apredict",
        "/v1/models/%6D:predict",
        "/predict/%6D",
        "/v2/models/%6d/infer",
        "/%70redict",
        "/%76%31/models/m",
    ),
    *(
        "/console//",
        "/console%2F",
        "/console/x/../app.js",
        "/console/x/%2e%2e/app.js",
        "/console/x/..%2fapp.js",
        "/console?a=b",
    ),
    *("/console/x/vendor/../app.js", "/console/x//app.js", "/console/x/app.js/", "/console/x/app.js%00", "/console/%ff/app.js"),
    *("/v1/models/a%2Fb", "/predict/a%2Fb", "/v2/models/a%2Fb/infer", "/v1%2Fmodels%2Fm", "/predict%2Fm", "/docs/models/a%2Fb"),
    *("/v1/models/a%20b", "/v1/models/caf%C3%A9", "/predict/caf%C3%A9", "/v2/models/caf%C3%A9/infer", "/v2/models/caf%C3%A9"),
    *("/v1/models/%ff%fe", "/predict/%ff", "/v2/models/%ff/infer", "/docs/models/%ff", "/%ff", "/nope/%ff", "/nope/caf%C3%A9"),
    *(
        "/v1/models/%00",
        "/predict/%00",
        "/v2/models/%00",
        "/%00",
        "/v1/models/%",
        "/predict/%",
        "/%",
        "/nope/%zz",
        "/predict/%zz",
    ),
    *("/v1/models/%25", "/predict/%2525", "/v1/models/m%0d%0aX-Evil:%201", "/predict/m%0d%0aX-Evil:%201", "/nope%0d%0a"),
    *("/v1/models/m?a=b", "/predict/m?a=b&c=%20", "/v2/models/m?x", "/healthz?", "/readyz?verbose=1", "/nope?x=/v1/", "/?a=b"),
    *(
        "/v1/models/m:predict?timeout=1",
        "/predict?model=m",
        "/predict/m?",
        "/v2/models/m/infer?a=%ff",
        "/metrics%20",
        "/healthz%20",
    ),
    *("/v1/../predict", "/v1/models/../m", "/./healthz", "/healthz/..", "/predict/..", "/v1/models/.", "/docs/../LICENSE"),
    *(
        "/docs/%2e%2e%2fLICENSE",
        "/docs/models/..%2f..",
        "/v1/models/m;a=b",
        "/predict/m;a",
        "/healthz;x",
        "/v1/models/m,n",
        "/a:b",
    ),
    *(
        "/v1/models/m:predict:predict",
        "/v1/models/:predict",
        "/v1/models/m/versions/:predict",
        "/v1/models/m/versions/x:predict",
    ),
    *(
        "/v1/models/m/versions/1/metadata",
        "/v1/models/m/labels/nope:predict",
        "/v1/models/m/versions/01",
        "/v1/x",
        "/V1/",
        "/V1",
    ),
    *("/Predict", "/HEALTHZ", "/V2", "/v2x", "/v1x", "/v10/models/m", "/predictx", "/v2/models", "/v2/models/m/versions"),
    *("/v2/models/m/versions/x/infer", "/v2/models/m/versions/01", "/v2/models/m/versions/-1", "/v2/repository/models/m/x"),
    *("http://elsewhere.test/healthz", "http://elsewhere.test/v1/models/m:predict", "http://elsewhere.test", "/v1/models/m#x"),
    *(
        "http://elsewhere.test/nope/%20?a",
        "/predict/m#x",
        "/nope#x",
        f"/v1/models/{'n' * 2000}",
        f"/predict/{'n' * 2000}",
        f"/{'n' * 2000}",
    ),
    *(
        "/predict/!$&'()*+,;=@~-._",
        "/v1/models/!$&'()*+,;=@~-._",
        "/nope/!$&'()*+,;=@~-._",
        '/nope/"<>^`{|}',
        '/predict/"<>^`{|}',
    ),
)

V2_BODIES: dict[str, object] = {
    "empty": b"", "no JSON": b"{", "a list": b"[]", "null": b"null", "nothing in it": b"{}", "bytes": b"\xff\x00",
    "no inputs": {"inputs": []}, "inputs that are none": {"inputs": 1}, "an input that is none": {"inputs": [1]},
    "a word behind it": V2_GOOD + b" x", "a second document": V2_GOOD + V2_GOOD, "a byte order mark": b"\xef\xbb\xbf" + V2_GOOD,
    "a member twice": V2_GOOD.replace(b'"id"', b'"id": "b", "id"'), "an unknown member": {"inputs": [X], "input": 1},
    "an id that is none": {"id": 7, "inputs": [X]}, "parameters": {"parameters": {"any": [1]}, "inputs": [X]},
    "another name": {"inputs": [X | {"name": "z"}]}, "an input twice": {"inputs": [X, X]},
    "another datatype": {"inputs": [X | {"datatype": "INT8"}]},
    "no datatype": {"inputs": [{"name": "x", "shape": [1], "data": []}]},
    "another shape": {"inputs": [X | {"shape": [4]}]}, "a shape that does not fit": {"inputs": [X | {"shape": [3, 2]}]},
    "a negative shape": {"inputs": [X | {"shape": [-1, 2]}]}, "nested": {"inputs": [X | {"data": [[1, 2], [3, 4]]}]},
    "a word among numbers": {"inputs": [X | {"data": [1, "a", 3, None]}]}, "NaN": V2_GOOD.replace(b"[1,", b"[NaN,"),
    "an output": {"inputs": [X], "outputs": [{"name": "y"}]}, "no such output": {"inputs": [X], "outputs": [{"name": "z"}]},
    "a binary output": {"inputs": [X], "outputs": [{"name": "y", "parameters": {"binary_data": True}}]},
    "all outputs binary": {"inputs": [X], "parameters": {"binary_data_output": True}},
    "binary without its header": {"inputs": [BINARY_X]},
}  # fmt: skip

HEADER_FIELDS: dict[str, tuple[tuple[str, str], ...]] = {
    "a type with a charset": (("Content-Type", "application/json; charset=utf-8"),),
    "a form": (("Content-Type", "application/x-www-form-urlencoded"),),
    "a form of parts": (("Content-Type", "multipart/form-data; boundary=x"),),
    "text": (("Content-Type", "text/plain"),),
    "an empty type": (("Content-Type", ""),),
    "a type that is none": (("Content-Type", "\u00e9;;=,"),),
    "npy that is none": (("Content-Type", NPY),),
    "npz that is none": (("Content-Type", NPZ),),
    "zip that is none": (("Content-Type", "APPLICATION/ZIP; a=b"),),
    "wants npy": (("Accept", NPY),),
    "wants npz": (("Accept", NPZ),),
    "would rather have npy": (("Accept", f"application/json;q=0.5, {NPY}"),),
    "says twice what it wants": (("Accept", "text/html"), ("Accept", NPY)),
    "wants HTML": (("Accept", "text/html"),),
    "wants what is none": (("Accept", ";;q=x,"),),
    "gzip that is none": (("Content-Encoding", "gzip"),),
    "deflate that is none": (("Content-Encoding", "deflate"),),
    "another encoding": (("Content-Encoding", "br"),),
    "several encodings": (("Content-Encoding", "gzip, br"),),
    "identity": (("Content-Encoding", "identity"),),
    "wants gzip": (("Accept-Encoding", "gzip"),),
    "an origin": (("Origin", "http://a.example"),),
    "a header length": ((HEADER_LENGTH, "5"),),
    "a header length that is none": ((HEADER_LENGTH, "x"),),
    "a header length that is negative": ((HEADER_LENGTH, "-1"),),
    "a header length that is too long": ((HEADER_LENGTH, "999999"),),
    "another host": (("X-Forwarded-Host", "evil.test"), ("X-Forwarded-Proto", "https"), ("Forwarded", "host=evil.test")),
    "a token, a cookie and a range": (("Authorization", "Bearer t"), ("Cookie", "a=b"), ("Range", "bytes=0-1")),
    "a condition": (("If-None-Match", "*"), ("If-Modified-Since", "Thu, 01 Jan 2037 00:00:00 GMT")),
    "another method": (("X-HTTP-Method-Override", "DELETE"),),
    "bytes that are no ASCII": (("X-Any", "\u00e9\u00ff"), ("User-Agent", "\u00e9")),
    "an id that does not fit": (("X-Request-Id", "a b"),),
}


def of_pages() -> list[Sent]:
    """What a browser sends for a page that may read answers, and for one that may not: the preflight, and the request."""
    asks = ("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "x-api-key,content-type")
    return [
        Sent(f"{method} {path} of {origin}", method, path, (("Origin", origin), *(asks if method == "OPTIONS" else ())))
        for path in ("/predict", V1, "/v2", "/v1/models/m", "/openapi.json", "/nowhere", "/")
        for method in ("OPTIONS", "GET")
        for origin in (PAGE, "https://other.example")
    ]


def all_requests() -> list[Sent]:
    """Every request, in the order in which they are sent."""
    return [
        *of_conformance(),
        *of_bad_input(),
        *of_methods(),
        *of_paths(),
        *of_openinference(),
        *of_arrays(),
        *of_fields(),
        *of_sizes(),
    ]


def of_conformance() -> Iterator[Sent]:
    for case in conformance.load_own().cases:
        if case["kind"] == "http" and case["id"] != "http-gzip-bomb":  # a smaller one is below
            request = case["request"]
            fields = {name: value for name, value in request.get("headers", {}).items() if name != "Transfer-Encoding"}
            chunks = 7 if "Transfer-Encoding" in request.get("headers", {}) else 0
            target = request["path"]
            yield Sent(case["id"], request["method"], target, tuple(fields.items()), conformance.body(request), chunks)


def of_bad_input() -> Iterator[Sent]:
    for number, (path, body, _) in enumerate(CASES):
        yield Sent(f"bad input {number}", "POST", path, (), as_bytes(body))
    for path, _, _ in LOOKUPS:
        yield Sent(f"lookup {path}", "POST", path, (), V1_GOOD)


def of_methods() -> Iterator[Sent]:
    for path in ROUTES:
        for method in METHODS:
            body = GOOD.get(path, b"{}") if method in ("POST", "PUT", "PATCH") else b""
            yield Sent(f"{method} {path}", method, path, (), body)
    yield Sent("OPTIONS *", "OPTIONS", "*")
    for path in ROUTES:
        yield Sent(f"GET {path} and a websocket", "GET", path, (("Connection", "Upgrade"), ("Upgrade", "websocket")))


def of_paths() -> Iterator[Sent]:
    for path in PATHS:
        yield Sent(f"GET {path[:60]}", "GET", path)
        if path == "http://elsewhere.test":
            continue  # werkzeug knows an empty path for GET only
        yield Sent(
            f"POST {path[:60]}", "POST", path, (), V2_GOOD if "v2" in path else SIMPLE_GOOD if "redict/" in path else V1_GOOD
        )


def of_openinference() -> Iterator[Sent]:
    for about, body in V2_BODIES.items():
        yield Sent(f"v2 {about}", "POST", V2, (), as_bytes(body))
    for about, document in {
        "binary": {"inputs": [BINARY_X]},
        "binary both ways": {"inputs": [BINARY_X], "parameters": {"binary_data_output": True}},
    }.items():
        header = json.dumps(document).encode()
        for ending, data in {"": FOUR, ", too short": FOUR[:-1], ", too long": FOUR + b"x"}.items():
            yield Sent(f"v2 {about}{ending}", "POST", V2, ((HEADER_LENGTH, str(len(header))),), header + data)


def of_arrays() -> Iterator[Sent]:
    rows = np.array([[1, 2], [3, 4]], np.float32)
    bodies = {
        "npy": (NPY, npy(rows)),
        "npy of doubles": (NPY, npy(rows.astype(np.float64))),
        "npy of another shape": (NPY, npy(np.zeros((2, 3), np.float32))),
        "npy cut short": (NPY, npy(rows)[:-3]),
        "npy as npz": (NPZ, npy(rows)),
        "npz": (NPZ, npz(x=rows)),
        "npz with another name": (NPZ, npz(z=rows)),
    }
    for path in (V1, SIMPLE, V2):
        for about, (media_type, body) in bodies.items():
            for accept in ("*/*", NPY, NPZ):
                yield Sent(
                    f"{about} to {path}, accept {accept}",
                    "POST",
                    path,
                    (("Content-Type", media_type), ("Accept", accept)),
                    body,
                )


def of_fields() -> Iterator[Sent]:
    for about, fields in HEADER_FIELDS.items():
        for path, body in GOOD.items():
            yield Sent(f"{about} to {path}", "POST", path, fields, body)
        for path in ("/", "/docs/models/m", "/openapi.json", "/readyz", "/v1/models/m", "/v2/models/m", "/nope"):
            yield Sent(f"{about} to {path}", "GET", path, fields)
    for path, body in GOOD.items():
        yield Sent(f"gzip to {path}", "POST", path, (("Content-Encoding", "gzip"),), gzip.compress(body))
        yield Sent(f"two members of gzip to {path}", "POST", path, (("Content-Encoding", "gzip"),), gzip.compress(body) * 2)


def of_sizes() -> Iterator[Sent]:
    for path, body in GOOD.items():
        for about, size in {
            "as large as allowed": MAX_BODY_BYTES,
            "one byte too large": MAX_BODY_BYTES + 1,
            "medium": 70_000,
        }.items():
            filled = body + b" " * (size - len(body))
            yield Sent(f"{about} to {path}", "POST", path, (), filled)
            yield Sent(f"{about} to {path}, in chunks", "POST", path, (), filled, 50_000)
            yield Sent(f"{about} to {path}, inflated", "POST", path, (("Content-Encoding", "gzip"),), gzip.compress(filled))
        yield Sent(f"in chunks to {path}", "POST", path, (), body, 3)
    for method, path in (
        ("POST", "/nope"),
        ("POST", "/healthz"),
        ("GET", "/healthz"),
        ("POST", "/v1/nope"),
        ("PUT", SIMPLE),
        ("GET", "/v1/models/m"),
    ):
        yield Sent(f"a body that nobody reads, {method} {path}", method, path, (), b"x" * 1000)
        yield Sent(f"a body that nobody reads, in chunks, {method} {path}", method, path, (), b"x" * 1000, 100)
        yield Sent(f"a body too large that nobody reads, {method} {path}", method, path, (), b"x" * (MAX_BODY_BYTES + 1))


def as_bytes(body: object) -> bytes:
    if isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()
