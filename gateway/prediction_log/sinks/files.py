"""Rows in a folder of JSON lines: a file for each table, hour and worker, such as ``predictions-20261126T23-<boot>.jsonl``.

The hour is that of the rows, in UTC. A line is an object with the columns; the binary ones are in base64. A file of an hour
that is over grows only by what was late. Only whole lines count: a worker that is killed may leave a part of one at the end.
"""

import errno
import heapq
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import chain, groupby, islice
from operator import attrgetter
from pathlib import Path
from typing import Final

import msgspec

from gateway.prediction_log.row import KINDS, Row
from gateway.prediction_log.sinks import lines
from gateway.prediction_log.sinks.sink import Filter, Run, SinkAway, SomeRow

_HOUR_US: Final = 3_600_000_000
_HOUR: Final = "%Y%m%dT%H"
_NAME: Final = re.compile(r"(?P<table>[a-z]+)-(?P<hour>\d{8}T\d\d)-(?P<boot>\w+)\.jsonl")
_encode: Final = msgspec.json.Encoder().encode


class FileSink:
    """The folder ``folder``, which is made if only itself is missing."""

    def __init__(self, folder: Path) -> None:
        self.name = f"file://{folder}"
        self._folder = folder

    def write(self, rows: Sequence[Row]) -> None:
        """See ``Sink``. Files are not kept open, so that they may be moved away at any time."""
        sizes: dict[Path, int] = {}
        try:
            self._folder.mkdir(exist_ok=True)
            if not os.access(self._folder, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            for path, some in groupby(sorted(rows, key=self._path), self._path):
                sizes[path] = path.stat().st_size if path.exists() else 0
                _append(path, b"".join(_encode(row) + b"\n" for row in some))
        except OSError as error:
            for path, size in sizes.items():
                with suppress(OSError):
                    os.truncate(path, size)
            raise SinkAway(error.strerror or type(error).__name__) from None

    def purge(self, before_us: int) -> int:
        """See ``Sink``: it deletes the files of an hour that is before that time as a whole."""
        with _errors():
            for kind in KINDS:
                for hour, paths in self._hours(kind):
                    if (hour + 1) * _HOUR_US <= before_us:
                        return sum(map(_delete, paths))
        return 0

    def read(self, kind: type[SomeRow], where: Filter) -> Iterator[SomeRow]:
        """See ``Sink``."""
        with _errors():
            hours = [(hour, paths) for hour, paths in self._hours(kind) if _overlaps(hour, where)]
            if where.newest is None:
                for _, paths in hours:
                    yield from _rows(kind, paths, where)
                return
            # From the end of the files: an hour may have millions of rows.
            newest = chain.from_iterable(_rows(kind, paths, where, backwards=True) for _, paths in reversed(hours))
            yield from reversed(list(islice(newest, where.newest)))

    def runs(self, kind: type[Row]) -> list[Run]:
        """See ``Sink``."""
        runs: dict[str, Run] = {}
        for row in self.read(kind, Filter()):
            run = runs.get(row.boot, Run(row.boot, row.seq, row.seq, 0))
            runs[row.boot] = Run(row.boot, min(run.first, row.seq), max(run.last, row.seq), run.rows + 1)
        return list(runs.values())

    def close(self) -> None:
        """There is nothing to close."""

    def _path(self, row: Row) -> Path:
        hour = datetime.fromtimestamp(row.ts // _HOUR_US * 3600, UTC)
        return self._folder / f"{row.TABLE}-{hour:{_HOUR}}-{row.boot}.jsonl"

    def _hours(self, kind: type[Row]) -> list[tuple[int, list[Path]]]:
        """The files of a table by their hours since 1970, the oldest first."""
        hours: dict[int, list[Path]] = {}
        for path in self._folder.iterdir():
            name = _NAME.fullmatch(path.name)
            if name and name["table"] == kind.TABLE:
                hour = datetime.strptime(name["hour"], _HOUR).replace(tzinfo=UTC)
                hours.setdefault(int(hour.timestamp()) // 3600, []).append(path)
        return sorted(hours.items())


def _append(path: Path, data: bytes) -> None:
    with open(path, "ab", buffering=0, opener=_open_for_the_owner) as file:
        if file.write(data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _open_for_the_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _delete(path: Path) -> int:
    with open(path, "rb") as file:
        count = sum(1 for _ in file)
    path.unlink(missing_ok=True)
    return count


def _overlaps(hour: int, where: Filter) -> bool:
    return (where.from_us is None or where.from_us < (hour + 1) * _HOUR_US) and (
        where.to_us is None or where.to_us > hour * _HOUR_US
    )


def _rows(kind: type[SomeRow], paths: Sequence[Path], where: Filter, *, backwards: bool = False) -> Iterator[SomeRow]:
    """The rows of the files of one hour, the oldest first, or the newest. Each file is in the order of time."""
    files = [(lines.backwards if backwards else lines.forwards)(kind, path) for path in paths]
    return (row for row in heapq.merge(*files, key=attrgetter("ts"), reverse=backwards) if _fits(row, where))


def _fits(row: Row, where: Filter) -> bool:
    model = getattr(row, "model", None)
    return (
        (where.from_us is None or row.ts >= where.from_us)
        and (where.to_us is None or row.ts < where.to_us)
        and (where.model is None or model is None or model == where.model)
        and (where.models is None or model is None or model in where.models)
        and (where.version is None or getattr(row, "version", where.version) == where.version)
        and (where.statuses is None or getattr(row, "status", where.statuses.start) in where.statuses)
        and (where.request_ids is None or row.request_id in where.request_ids)
    )


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SinkAway(error.strerror or type(error).__name__) from None
