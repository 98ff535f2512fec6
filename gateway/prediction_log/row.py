"""The rows of the prediction log. Their fields are the columns of the tables, in this order."""

from typing import ClassVar, Final

import msgspec

ROW_BYTES: Final = 768
"""What a row takes in memory besides its tensors, in bytes, rounded up."""

_MOST_CHARACTERS: Final = 200


class Row(msgspec.Struct, kw_only=True, gc=False):
    """What all rows have.

    - ``ts``: when the row was made, in microseconds since 1970 (UTC).
    - ``boot`` names the run of one worker; ``seq`` counts its kept rows of the same table from 1, so that a gap is a loss.
    - ``request_id``: the ``X-Request-Id`` of the answer.
    """

    TABLE: ClassVar[str]

    ts: int = 0
    boot: str = ""
    seq: int = 0
    request_id: str


class PredictionRow(Row, kw_only=True):
    """One request for a prediction, made when it was answered or refused.

    - ``arm``: ``stable``, ``canary`` or ``baseline``; ``rollout`` is the id of the rollout, if there is one.
    - ``key``: the name of the caller's API key; ``dialect``: whose words the request was in.
    - ``rows``: dimension 0 of the inputs; ``batch_rows``: that of the call to the model server, which requests may share.
    - ``status``: of HTTP; ``error``: the code of the error that answered it.
    - ``cache``: ``hit``, ``miss``, ``joined`` or ``off``.
    - ``sample_rate``: the probability with which such a row is kept, so that it stands for ``1 / sample_rate`` requests.
    - ``bytes_in``, ``bytes_out``: of the bodies.
    - ``digest``, ``inputs``, ``outputs``: see ``tensors.py``. ``truncated``: values and digest are missing because the tensors
      were too large to be kept.
    """

    TABLE = "predictions"

    trace_id: str | None = None
    model: str
    version: int | None = None
    signature: str
    arm: str = "stable"
    rollout: str | None = None
    key: str | None = None
    dialect: str
    rows: int | None = None
    status: int
    error: str | None = None
    total_us: int
    queue_us: int = 0
    backend_us: int = 0
    batch_rows: int | None = None
    cache: str = "off"
    sample_rate: float = 1.0
    bytes_in: int
    bytes_out: int
    digest: bytes | None = None
    inputs: bytes | None = None
    outputs: bytes | None = None
    truncated: bool = False


class FeedbackRow(Row, kw_only=True):
    """What a prediction should have been: ``label`` is JSON text for the row ``row`` (from 0) of the request.

    The request may be unknown. ``source`` names the caller.
    """

    TABLE = "feedback"

    row: int
    label: str
    source: str


KINDS: Final[tuple[type[Row], ...]] = (PredictionRow, FeedbackRow)


def bounded(text: str) -> str:
    """``text`` as every database and terminal takes it: what is not printable is escaped, and a long text is cut."""
    if len(text) <= _MOST_CHARACTERS and text.isprintable():
        return text
    cut = text[:_MOST_CHARACTERS]
    return cut if cut.isprintable() else cut.encode("unicode_escape").decode()
