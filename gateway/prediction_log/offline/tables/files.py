"""Writes predictions as a table, streamed: memory holds some rows only, however many there are."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from gateway.prediction_log.offline.failure import ExportFailure
from gateway.prediction_log.offline.progress import shown
from gateway.prediction_log.offline.tables import requests
from gateway.prediction_log.offline.tables.columns import Column
from gateway.prediction_log.offline.tables.csv_lines import CsvLines
from gateway.prediction_log.offline.tables.instances import Block, instance_blocks, instance_count
from gateway.prediction_log.offline.tables.json_lines import JsonLines
from gateway.prediction_log.offline.tables.labels import Labelled
from gateway.prediction_log.offline.tables.plan import Plan
from gateway.prediction_log.offline.tables.spool import Spool

Format: TypeAlias = Literal["parquet", "jsonl", "csv"]


class Writer(Protocol):
    """A file of a table that is being written."""

    def write(self, block: Block, rows: int) -> None:
        """Write some rows."""

    def close(self) -> None:
        """Write the rest, and close the file."""


def check_format(name: Format) -> None:
    """Raise ExportFailure if this format cannot be written here."""
    if name == "parquet" and find_spec("pyarrow") is None:
        raise ExportFailure(
            "Parquet needs pyarrow, which is not installed: pip install 'serving-gateway[export]', or use --format jsonl"
        )


def write_instances(path: Path, form: Format, labelled: Iterable[Labelled], most: int | None) -> tuple[int, int]:
    """Write a row for each instance, at most ``most``. Raises ExportFailure and OSError.

    Returns how many were written, and how many requests were left out because they have no instances.
    """
    with Spool(path.parent) as spool:
        plan, left, left_out = Plan(), most, 0
        for one in shown(labelled, "reading"):
            if left == 0:
                break
            count = instance_count(one)
            if not count:
                left_out += 1
                continue
            if left is not None:
                count = min(count, left)
                left -= count
            plan.see(one, count)
            spool.add(one)
        table = plan.table()

        def blocks() -> Iterator[Block]:
            rest = most
            for one in shown(spool.read(), "writing", spool.rows):
                for block in instance_blocks(one, table, rest):
                    rest = None if rest is None else rest - len(block["row"])
                    yield block

        return _written(_writer(form)(path, table.columns), blocks()), left_out


def write_requests(path: Path, form: Format, labelled: Iterable[Labelled], most: int | None) -> tuple[int, int]:
    """Write a row for each request, at most ``most``. Returns as ``write_instances`` does: none is left out. Raises OSError."""
    writer = _writer(form)(path, requests.COLUMNS)
    rows = (one for one, _ in zip(labelled, range(most), strict=False)) if most is not None else labelled
    return _written(writer, map(requests.request_block, shown(rows, "writing"))), 0


def _writer(form: Format) -> Callable[[Path, Sequence[Column]], Writer]:
    if form == "parquet":
        # pyarrow may be missing, and its import takes longer than a small export.
        from gateway.prediction_log.offline.tables.parquet import Parquet  # noqa: PLC0415

        return Parquet
    return JsonLines if form == "jsonl" else CsvLines


def _written(writer: Writer, blocks: Iterable[Block]) -> int:
    count = 0
    try:
        for block in blocks:
            rows = len(block["request_id"])
            writer.write(block, rows)
            count += rows
    finally:
        writer.close()
    return count
