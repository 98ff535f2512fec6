"""``{"instances": [...]}`` in, ``{"predictions": [...]}`` out: the body of the peers that leave its form to the application.

The server's half and the client's. orjson is the fastest general JSON that a user of any of these peers would take.
"""

import io
from typing import Any

import numpy as np
import orjson

from benchmarks.contender import JSON, NPY, Call, Encoding, Floats

_NPY_MAGIC = b"\x93NUMPY"


def rows(body: bytes) -> Floats:
    """Return the array of a request's body, JSON or npy. Raises ValueError, KeyError or TypeError for anything else."""
    if body.startswith(_NPY_MAGIC):
        return np.asarray(np.load(io.BytesIO(body), allow_pickle=False), np.float32)
    return np.array(orjson.loads(body)["instances"], np.float32)


def answer(predictions: Floats) -> bytes:
    """Return the body of an answer."""
    return json_text({"predictions": np.ascontiguousarray(predictions)})


def encodings(path: str, *, npy: bool) -> dict[str, Encoding]:
    """Return how to ask a server at ``path`` that uses ``rows`` and ``answer``; ``npy``: it is given bodies as they come."""

    def ask_json(array: Floats) -> Call:
        return Call(path, json_text({"instances": array}), {"Content-Type": "application/json"})

    def ask_npy(array: Floats) -> Call:
        body = io.BytesIO()
        np.save(body, array)
        return Call(path, body.getvalue(), {"Content-Type": "application/x-npy"})

    ways = {JSON: Encoding(ask_json, read)}
    return ways | {NPY: Encoding(ask_npy, read)} if npy else ways


def read(body: bytes) -> Floats:
    """Return the predictions of an answer's body. Raises ValueError, KeyError or TypeError for anything else."""
    return np.array(orjson.loads(body)["predictions"], np.float32)


def json_text(document: Any) -> bytes:
    """Return JSON in which a float32 has as many digits as it needs, which is what a client would send."""
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
