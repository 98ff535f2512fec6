"""What is known about joining requests: for each version, signature and set of outputs, whether its batches are earned.

A signature earns its batches by proofs: shared calls whose answers were the same as those of each member alone. One difference
ends it: this signature of this version is never joined again. All workers of a gateway learn such a verdict at once.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.inference.batching.comparison import NOT_ROWS, Difference
from gateway.inference.batching.verdict_file import VerdictFile
from gateway.inference.signature import ModelRef, Prediction, Signature
from gateway.telemetry import metrics
from gateway.telemetry.logs import logger

log = logger("batching")

# Sets of outputs are the clients' choice; above this many kinds of requests the oldest is forgotten and proves itself anew.
_MOST_KINDS: Final = 4096


@dataclass(frozen=True, slots=True)
class Kind:
    """What requests that may share a call have in common, besides the shapes of their rows."""

    model: ModelRef
    signature: Signature
    outputs: tuple[str, ...]
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Each request looks it up several times.
        object.__setattr__(self, "_hash", hash((self.model, self.signature, self.outputs)))

    def __hash__(self) -> int:
        return self._hash


@dataclass(slots=True, eq=False)
class Record:
    """What is known about the requests of one kind that one version answers.

    ``is_joined``: they may share a call, of at most ``most_rows`` rows: as many as were compared and equal. ``proofs_left``:
    equal comparisons that are still missing before they may. ``may_hold``: until then all but a few of them may have to wait,
    for a short time, for these comparisons.
    """

    model: str
    version: int
    signature: str
    proofs_left: int
    is_joined: bool
    most_rows: int = 0
    may_hold: bool = True
    next_trial_s: float = 0.0  # in seconds of time.monotonic
    failed_trials: int = 0


@dataclass(slots=True)
class Records:
    """All records of a worker.

    ``proofs``: equal comparisons that earn a signature its batches; with 0 requests are joined without proof. ``shared`` holds
    the verdicts of all workers. ``on_verdict`` is called with the model's name when a signature is not joined any more.
    """

    proofs: int
    shared: VerdictFile | None = None
    on_verdict: Callable[[str], None] = lambda model: None
    _by_kind: dict[Kind, Record] = field(default_factory=dict)
    _by_version: dict[tuple[str, int, str, frozenset[str]], Record] = field(default_factory=dict)
    _verdicts: dict[tuple[str, int, str], str] = field(default_factory=dict)
    _without_rows: dict[tuple[str, int, str], frozenset[str]] = field(default_factory=dict)
    _unproven: Record = field(default_factory=lambda: Record("", 0, "", 0, is_joined=True, most_rows=sys.maxsize))

    def of(self, kind: Kind) -> Record | None:
        """The record of the version that last answered ``kind``; None when none has."""
        record = self._by_kind.get(kind)
        if record is None and not self.proofs:
            return self._unproven
        return record

    def answered(self, kind: Kind, version: int) -> Record:
        """``version`` has answered a request of ``kind``: its record."""
        record = self._by_kind.get(kind)
        if record is not None and record.version == version:
            return record
        model, signature = kind.model.name, kind.signature.name
        key = (model, version, signature, frozenset(kind.outputs))
        record = self._by_version.get(key)
        if record is None:
            is_refused = (model, version, signature) in self._verdicts
            record = Record(model, version, signature, self.proofs, is_joined=not (self.proofs or is_refused))
            record.most_rows = 0 if self.proofs else sys.maxsize
            _put(self._by_version, key, record)
        _put(self._by_kind, kind, record)
        return record

    def is_refused(self, record: Record) -> bool:
        """Whether there is a verdict against joining."""
        return (record.model, record.version, record.signature) in self._verdicts

    def count_proof(self, record: Record, rows: int) -> None:
        """A shared call of ``rows`` rows was equal to its members' own."""
        if self.is_refused(record):
            return
        record.most_rows = max(record.most_rows, rows)
        record.proofs_left -= 1
        is_news = not record.is_joined and record.proofs_left <= 0
        record.is_joined = record.is_joined or is_news
        if is_news:
            log.info("batch.proven", model=record.model, version=record.version, signature=record.signature)

    def refuse(self, model: str, version: int, signature: str, found: Difference) -> None:
        """The signature of this version is never joined again, because of what was ``found``."""
        self.take_news()
        if self._take_verdict(model, version, signature, found):
            metrics.BATCH_VERDICTS.labels(model, str(version), signature).inc()
            log.warning(
                "batch.not_joined", model=model, version=version, signature=signature, output=found.output, how=found.how
            )
        elif found.output in self.without_rows(model, version, signature) or found.how != NOT_ROWS:
            return
        self._note_without_rows(model, version, signature, found)
        self._tell({"refused": [model, version, signature], "output": found.output, "how": found.how})

    def take_news(self) -> None:
        """Take over the verdicts that other workers have come to."""
        for news in self.shared.news() if self.shared is not None else ():
            if "refused" in news:
                model, version, signature = news["refused"]
                found = Difference(news["output"], news["how"])
                self._take_verdict(model, version, signature, found)
                self._note_without_rows(model, version, signature, found)
            else:
                self._forget(*news["gone"])

    def forget(self, model: str, version: int) -> None:
        """The version is no longer served: if it comes back under its number, it may be another one and starts anew."""
        if self._forget(model, version):
            self._tell({"gone": [model, version]})

    def verdict(self, model: str, version: int, signature: str) -> str | None:
        """Why the signature of this version is not joined any more; None when there is no verdict against it."""
        self.take_news()
        return self._verdicts.get((model, version, signature))

    def without_rows(self, model: str, version: int, signature: str) -> frozenset[str]:
        """The outputs of which some worker has seen that they hold not one row for each input row."""
        return self._without_rows.get((model, version, signature), frozenset())

    def trusts(self, prediction: Prediction) -> bool:
        """Whether an answer may be kept: it is a lone call's, or it is cut from a batch that was proven."""
        if not prediction.is_shared:
            return True
        return self.proofs > 0 and (prediction.model, prediction.version, prediction.signature) not in self._verdicts

    def close(self) -> None:
        """Close the file of the verdicts."""
        if self.shared is not None:
            self.shared.close()
            self.shared = None

    def _note_without_rows(self, model: str, version: int, signature: str, found: Difference) -> None:
        if found.how == NOT_ROWS:
            known = self.without_rows(model, version, signature)
            self._without_rows[model, version, signature] = known | {found.output}

    def _take_verdict(self, model: str, version: int, signature: str, found: Difference) -> bool:
        """Whether it is the first one."""
        if (model, version, signature) in self._verdicts:
            return False
        self._verdicts[model, version, signature] = str(found)
        for record in (*self._by_version.values(), *self._by_kind.values()):
            if (record.model, record.version, record.signature) == (model, version, signature):
                record.is_joined = False
        self.on_verdict(model)
        return True

    def _forget(self, model: str, version: int) -> bool:
        """Whether anything was known of it."""
        known = [key for key in self._by_version if key[:2] == (model, version)]
        for key in known:
            # Calls that are under way hold the record still.
            self._by_version.pop(key).is_joined = False
        refused = [key for key in self._verdicts if key[:2] == (model, version)]
        for verdict in refused:
            del self._verdicts[verdict]
            self._without_rows.pop(verdict, None)
        for kind in [kind for kind, record in self._by_kind.items() if (record.model, record.version) == (model, version)]:
            del self._by_kind[kind]
        return bool(known or refused)

    def _tell(self, news: dict[str, Any]) -> None:
        if self.shared is None:
            return
        try:
            self.shared.tell(news)
        except OSError:
            log.exception("batch.verdict_not_shared")


def _put(records: dict[Any, Record], key: Any, record: Record) -> None:
    records[key] = record
    if len(records) > _MOST_KINDS:
        records.pop(next(iter(records)))
