"""Requests made at random of pieces that mean something to the gateway; the same ones for the same seed."""

import gzip
import random
from collections.abc import Iterator

import numpy as np

from gateway.api.openinference.form import HEADER_LENGTH
from tests.gateway.two_ways.requests import NPY, NPZ, SIMPLE, SIMPLE_GOOD, V1, V1_GOOD, V2, V2_GOOD, Sent, npy, npz

SEGMENTS = (
    *("v1", "V1", "v2", "predict", "models", "m", "half_plus_two", "nope", "versions", "labels", "1", "123", "stable", "infer"),
    *("ready", "metadata", "health", "live", "docs", "start.js", "openapi.json", "healthz", "readyz", "repository", "index"),
    *(
        "load",
        ":predict",
        ":classify",
        ":regress",
        "m:predict",
        "%6d",
        "%2F",
        "%3A",
        "%25",
        "%00",
        "%ff",
        "%c3%a9",
        "%0a",
        "%3f",
    ),
    *(
        "..",
        ".",
        "",
        "",
        "%zz",
        "%",
        "+",
        "%20",
        "<",
        '"',
        "|",
        "^",
        "`",
        "{",
        "}",
        "~",
        "*",
        "\\",
        "[",
        "]",
        ";x",
        "?q=1",
        "?",
        "&",
    ),
)
TARGETS = (
    V1,
    V2,
    SIMPLE,
    "/predict",
    "/v1/models/m",
    "/v2/models/m",
    "/v1/models/half_plus_two:classify",
    "/",
    "/docs/models/m",
)
METHODS = (*("GET",) * 3, *("POST",) * 4, "HEAD", "PUT", "OPTIONS", "DELETE", "PATCH")
BODIES = (
    *(b"", V1_GOOD, SIMPLE_GOOD, V2_GOOD, b"{", b"null", gzip.compress(V1_GOOD)),
    b'{"examples": [{"x": 1.0}], "signature_name": "classify_x_to_y"}',
    npy(np.ones((2, 2), np.float32)),
    npz(x=np.ones((2, 2), np.float32)),
)
# Field -> how often it is there, and its values.
FIELDS = {
    "Content-Type": (
        0.5,
        *(
            "application/json",
            NPY,
            NPZ,
            "text/csv",
            "image/png",
            "multipart/form-data; boundary=x",
            "application/octet-stream",
            "",
        ),
        *("application/x-www-form-urlencoded", 'a/b; c="d', "application/json;charset=utf-16"),
    ),
    "Accept": (0.5, "*/*", NPY, f"{NPZ};q=0.9, text/html", "text/html", "application/json;q=0", "", "text/*;q=0.1,*/*", "a"),
    "Content-Encoding": (0.2, "gzip", "deflate", "br", "identity", "GZIP", "gzip;q=1"),
    HEADER_LENGTH: (0.2, "0", "5", "43", "-1", "x", "", "1e2", " 5", " 5 ", "+5", "5,5"),
    "Origin": (0.1, "http://a.example", "null"),
    "X-Request-Id": (0.1, "a", "\u00e9", "a b", "x" * 128, "x" * 129, "", "a, b"),
}


def random_requests(seed: int, number: int) -> Iterator[Sent]:
    dice = random.Random(seed)
    for place in range(number):
        target = "/" + "/".join(dice.choices(SEGMENTS, k=dice.randrange(1, 6)))
        if dice.random() < 0.5:
            target = dice.choice(TARGETS)
        fields = tuple((name, dice.choice(values)) for name, (often, *values) in FIELDS.items() if dice.random() < often)
        method = dice.choice(METHODS)
        body = dice.choice(BODIES) if method in ("POST", "PUT", "PATCH") else b""
        yield Sent(f"seed {seed}, {place}", method, target, fields, body, dice.choice((0, 0, 0, 5)) if body else 0)
