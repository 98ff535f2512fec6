"""One tick of the recorder: what was counted since the one before it, as a line of its file."""

from typing import Final, TypeAlias

import msgspec
import numpy as np

from gateway.api.console.recent.counts import FIRST_BUCKET, REQUESTS, WIDTH, Counts, Matrix

MOST_MODELS: Final = 200
MOST_VERSIONS: Final = 256
"""Of these a tick tells at most, the most active ones. Its totals are of all."""

Row: TypeAlias = tuple[str, str, list[int]]
"""A model, a version, and its numbers, as many as ``WIDTH``."""


class Tick(msgspec.Struct, array_like=True, frozen=True):
    """What happened in ``span_s`` seconds until ``at_s`` of ``time.monotonic``, which all processes of a machine share.

    - ``clock_s``: what Unix time was more than that.
    - ``grain_s``: how long after this tick the next one is due.
    - ``total``: of all requests. ``counted``: the same since the gateway began, so that the next recorder can go on from it.
    - ``rows``: of the versions that had requests; None: it is not known which had them, because another recorder has begun.
    - ``queue_rows``: by model, of those that have any.
    """

    at_s: float
    clock_s: float
    span_s: float
    grain_s: float
    total: list[int]
    counted: list[float]
    rows: list[Row] | None
    in_flight: int
    queue_rows: dict[str, int]

    def line(self) -> bytes:
        """The tick as it is written, with the end of the line."""
        return _encoder.encode(self) + b"\n"


def tick_of(line: bytes) -> Tick | None:
    """The tick of a line; None for a line that is none, as one that was cut off by a full disk."""
    try:
        tick = _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    lengths = {len(tick.total), len(tick.counted), *(len(numbers) for _, _, numbers in tick.rows or ())}
    return tick if lengths == {WIDTH} else None


def rows_between(before: Counts, now: Counts, always: frozenset[str]) -> list[Row]:
    """The versions that had requests, the most active of them; of the models ``always`` all that had any."""
    new = grown(before.by_version, now.by_version)
    busy = np.flatnonzero((new[:, REQUESTS] > 0) | (new[:, FIRST_BUCKET:].sum(axis=1) > 0))
    busy = busy[np.argsort(-new[busy, REQUESTS], kind="stable")]
    models: set[str] = set()
    rows: list[Row] = []
    for place in busy.tolist():
        model, version = now.versions[place]
        is_one_too_many = len(rows) >= MOST_VERSIONS or (model not in models and len(models) >= MOST_MODELS)
        if is_one_too_many and model not in always:
            continue
        models.add(model)
        rows.append((model, version, whole(new[place])))
    return rows


def grown(before: Matrix, now: Matrix) -> Matrix:
    """What was counted between the two, the later of which may have more rows. A counter does not fall."""
    new = now.copy()
    new[: len(before)] -= before
    return np.maximum(new, 0)


def whole(numbers: Matrix) -> list[int]:
    """As whole numbers, which all of them are."""
    return [int(number) for number in np.rint(numbers).tolist()]


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Tick)
