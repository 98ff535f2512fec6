"""What is known about joining requests: for each version, signature and set of outputs, whether its batches are earned.

A signature earns its batches by proofs: shared calls whose answers were the same as those of each member alone. One difference
ends it: this signature of this version is never joined again. All workers of a gateway learn such a verdict at once.
"""

import sys
from collections.abc import Callable, Collection
from typing import Any, Final

from gateway.inference.batching.difference import NOT_ROWS, Difference
from gateway.inference.batching.record import Kind, Record, ServedSignature
from gateway.inference.batching.rows import outputs_without_rows
from gateway.inference.batching.verdict_file import VerdictFile
from gateway.inference.signature import Prediction
from gateway.telemetry import metrics
from gateway.telemetry.logs import logger

log = logger("batching")

# Sets of outputs are the clients' choice; above this many kinds of requests the oldest is forgotten and proves itself anew.
_MOST_KINDS: Final = 4096

_NO_VERSION: Final = -1


class Records:
    """All records of a worker.

    ``proofs``: equal comparisons that earn a signature its batches; with 0 requests are joined without proof. ``shared`` holds
    the verdicts of all workers. ``on_verdict`` is called with the model's name when a signature is not joined any more.
    """

    on_verdict: Callable[[str], None]

    def __init__(self, proofs: int, shared: VerdictFile | None = None) -> None:
        self.on_verdict = lambda model: None
        self._proofs = proofs
        self._shared = shared
        self._by_kind: dict[Kind, Record] = {}
        self._by_version: dict[tuple[ServedSignature, frozenset[str]], Record] = {}
        self._verdicts: dict[ServedSignature, list[Difference]] = {}  # the first one, and all of outputs without rows

    def of(self, kind: Kind) -> Record:
        """The record of the version that last answered ``kind``; one of no version when none has."""
        record = self._by_kind.get(kind)
        if record is None:
            record = self._new_record(ServedSignature(kind.model.name, _NO_VERSION, kind.signature.name))
            _put(self._by_kind, kind, record)
        return record

    def answered(self, kind: Kind, version: int) -> Record:
        """``version`` has answered a request of ``kind``: its record."""
        record = self._by_kind.get(kind)
        if record is not None and record.key.version == version:
            return record
        key = ServedSignature(kind.model.name, version, kind.signature.name)
        record = self._by_version.get((key, frozenset(kind.outputs)))
        if record is None:
            record = self._new_record(key)
            _put(self._by_version, (key, frozenset(kind.outputs)), record)
        _put(self._by_kind, kind, record)
        return record

    def note_answer(self, kind: Kind, prediction: Prediction, rows: int) -> Record:
        """A call of ``rows`` rows was answered: an output that has not one row for each is a verdict. Returns the record."""
        record = self.answered(kind, prediction.version)
        for name in outputs_without_rows(prediction.outputs, rows):
            self.refuse(record.key, Difference(name, NOT_ROWS))
        return record

    def refuse(self, key: ServedSignature, found: Difference) -> None:
        """The signature of this version is never joined again, because of what was ``found``."""
        self.take_news()
        is_first = key not in self._verdicts
        if not self._take_over(key, found):
            return
        if is_first:
            metrics.BATCH_VERDICTS.labels(*key).inc()
            log.warning("batch.not_joined", **key._asdict(), output=found.output, how=found.how)
        self._tell({"refused": key, "output": found.output, "how": found.how})

    def take_news(self) -> None:
        """Take over the verdicts that other workers have come to."""
        for news in self._shared.news() if self._shared is not None else ():
            if "refused" in news:
                self._take_over(ServedSignature(*news["refused"]), Difference(news["output"], news["how"]))
            else:
                self._forget({(model, version) for model, version in news["gone"]})

    def forget(self, gone: Collection[tuple[str, int]]) -> None:
        """These versions are no longer served: one that comes back under its number may be another one, and starts anew."""
        known = self._forget(gone)
        if known:
            self._tell({"gone": sorted(known)})

    def verdict(self, key: ServedSignature) -> str | None:
        """Why the signature of this version is not joined any more; None when there is no verdict against it."""
        self.take_news()
        return str(self._verdicts[key][0]) if key in self._verdicts else None

    def without_rows(self, key: ServedSignature) -> frozenset[str]:
        """The outputs of which some worker has seen that they hold not one row for each input row."""
        return frozenset(found.output for found in self._verdicts.get(key, ()) if found.how == NOT_ROWS)

    def trusts(self, prediction: Prediction) -> bool:
        """Whether an answer may be kept: it is a lone call's, or it is cut from a batch that was proven."""
        if not prediction.is_shared:
            return True
        return self._proofs > 0 and (prediction.model, prediction.version, prediction.signature) not in self._verdicts

    def close(self) -> None:
        """Close the file of the verdicts."""
        if self._shared is not None:
            self._shared.close()
            self._shared = None

    def _new_record(self, key: ServedSignature) -> Record:
        is_refused = key in self._verdicts
        most_rows = 0 if self._proofs else sys.maxsize
        return Record(key, self._proofs, not (self._proofs or is_refused), is_refused, most_rows)

    def _take_over(self, key: ServedSignature, found: Difference) -> bool:
        """Note a verdict; whether it says something new."""
        known = self._verdicts.setdefault(key, [])
        if known and (found.how != NOT_ROWS or found in known):
            return False
        known.append(found)
        if len(known) == 1:
            for record in (*self._by_version.values(), *self._by_kind.values()):
                if record.key == key:
                    record.is_joined, record.is_refused = False, True
            self.on_verdict(key.model)
        return True

    def _forget(self, gone: Collection[tuple[str, int]]) -> set[tuple[str, int]]:
        """Those of which anything was known."""
        known = [key for key in self._by_version if key[0][:2] in gone]
        for key in known:
            # Calls that are under way still hold the record.
            self._by_version.pop(key).is_joined = False
        refused = [key for key in self._verdicts if key[:2] in gone]
        for verdict in refused:
            del self._verdicts[verdict]
        for kind in [kind for kind, record in self._by_kind.items() if record.key[:2] in gone]:
            del self._by_kind[kind]
        return {(key.model, key.version) for key in (*(signature for signature, _ in known), *refused)}

    def _tell(self, news: dict[str, Any]) -> None:
        try:
            if self._shared is not None:
                self._shared.tell(news)
        except OSError:
            log.exception("batch.verdict_not_shared")


def _put(records: dict[Any, Record], key: Any, record: Record) -> None:
    records[key] = record
    if len(records) > _MOST_KINDS:
        records.pop(next(iter(records)))
