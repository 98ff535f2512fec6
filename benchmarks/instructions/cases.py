"""The requests whose instructions are counted, and what is right of their answers."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from benchmarks import ours, workload
from benchmarks.contender import BINARY, JSON, Call, Floats

# The model of this name is the same as `dense`, and its answers are kept.
KEPT: Final = "kept"
# What the model answers for a row: its first numbers. A picture has ten scores.
SCORES: Final = 10

WITH_KEY: Final = "with a key"
WITH_LIMITS: Final = "with a key and two limits"
# Name -> limits: of requests a minute and a day, which no case uses up.
KEYS: Final = {WITH_KEY: "", WITH_LIMITS: "600000/min;1000000000/day"}

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """A kind of request. ``ask`` makes one from its rows, ``read`` gives the predictions of its answer.

    ``read`` is None for a request that is refused, with ``status``. ``together``: how many requests are under way at a time;
    ``requests``: how many are counted, a multiple of it. ``is_kept``: all ask for the same prediction, whose answer is kept.
    ``logged``: the part of the requests that the prediction log keeps; None: there is no log.
    ``traced``: the part of the requests that is traced; None: there are no traces.
    ``key``: the name of the key that each of them carries (``KEYS``), where the gateway asks for keys; empty: it asks for none.
    """

    name: str
    ask: Callable[[Floats], Call]
    read: Callable[[bytes], Floats] | None
    status: int = 200
    shape: tuple[int, ...] = (workload.FEATURES,)
    requests: int = 128
    together: int = 1
    is_kept: bool = False
    logged: float | None = None
    traced: float | None = None
    key: str = ""

    def rows(self, number: int) -> Floats:
        """Return the rows, always one, of the request of this number."""
        rng = np.random.default_rng(0 if self.is_kept else number)
        return rng.random((1, *self.shape), np.float32)


def expected(rows: Floats) -> Floats:
    """Return what the model answers: ``prediction`` float32[rows] for rows of ten, ``scores`` float32[rows,10] for pictures."""
    if rows.ndim == 2:
        return rows[:, 0]
    return rows.reshape(len(rows), -1)[:, :SCORES]


def _ask_v2_json(rows: Floats) -> Call:
    tensor = {"name": "features", "shape": rows.shape, "datatype": "FP32", "data": rows.ravel()}
    return _json(f"/v2/models/{workload.DENSE}/infer", {"inputs": [tensor]})


def _ask_simple(rows: Floats) -> Call:
    return _json(f"/predict/{workload.DENSE}", {"features": rows[0]})


def _ask_bad(rows: Floats) -> Call:
    """A text where a number is expected."""
    return _json(f"/v1/models/{workload.DENSE}:predict", {"instances": [[*rows[0, 1:].tolist(), "ten"]]})


def _json(path: str, document: Document) -> Call:
    return Call(path, ours.json_text(document), {"Content-Type": "application/json"})


def _read_v2_json(body: bytes) -> Floats:
    (output,) = json.loads(body)["outputs"]
    return np.array(output["data"], np.float32).reshape(output["shape"])


def _read_simple(body: bytes) -> Floats:
    return np.array([json.loads(body)["prediction"]], np.float32)


def _cases() -> tuple[Case, ...]:
    dense, kept, image = (ours.encodings(model) for model in (workload.DENSE, KEPT, workload.IMAGE))
    row = partial(Case, ask=dense[JSON].ask, read=dense[JSON].read)
    return (
        row("one row by /v1 :predict"),
        *(row(f"one row by /v1 :predict, {name}", key=name) for name in KEYS),
        row("one row by /v1 :predict, 32 requests at a time", requests=256, together=32),
        Case("one example by /predict", _ask_simple, _read_simple),
        Case("one row by /v2, JSON", _ask_v2_json, _read_v2_json),
        Case("one row by /v2, binary", dense[BINARY].ask, dense[BINARY].read),
        Case("a refused body: 400", _ask_bad, None, status=400),
        Case("a kept answer", kept[JSON].ask, kept[JSON].read, is_kept=True),
        Case("a picture as JSON", image[JSON].ask, image[JSON].read, shape=workload.IMAGE_SHAPE, requests=8),
        # So few that none of these is among them, and yet each has to be looked at.
        row("one row by /v1 :predict, with a prediction log that does not keep it", logged=0.000001),
        row("one row by /v1 :predict, kept by the prediction log", logged=1.0),
        row("one row by /v1 :predict, with traces, not sampled", traced=0.0),
        row("one row by /v1 :predict, traced, but for what is done beside the request", traced=1.0),
    )


CASES: Final = _cases()
