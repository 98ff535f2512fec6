"""Reads exported tables back with other programs' means: rows as dicts, without what has no value."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from click.testing import CliRunner

from gateway.prediction_log.commands import log_commands
from gateway.prediction_log.offline.commands.drift import drift
from gateway.prediction_log.offline.commands.export import export
from gateway.prediction_log.offline.commands.replay import replay
from gateway.prediction_log.sinks.address import sink_at

for _command in (export, replay, drift):  # as ``python -m gateway log`` does
    log_commands.add_command(_command)

_CELL = re.compile(r'"((?:[^"]|"")*)"|([^",\r\n]*)')


def run(*arguments: object, **environ: str) -> tuple[int, str, str]:
    """``python -m gateway log ...``: the exit code, what is printed, and what is printed as an error."""
    none = {"GATEWAY_PREDICTION_LOG": "", "DATABASE_URL": "", "GATEWAY_SERVING_TARGET": ""}
    result = CliRunner().invoke(log_commands, [*map(str, arguments)], env=none | environ)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def write(address: str, *rows: Any) -> None:
    sink = sink_at(address)
    sink.write(rows)
    sink.close()


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a file of any of the formats, by its suffix. Times are those of the format."""
    return {".parquet": _parquet, ".jsonl": _jsonl, ".csv": _csv}[path.suffix](path)


def _parquet(path: Path) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if value is not None} for row in pq.read_table(path).to_pylist()]


def _jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def _csv(path: Path) -> list[dict[str, Any]]:
    """A quoted cell is a text; others are what JSON reads them as, and an empty one is no value."""
    records, text, at = [[]], path.read_bytes().decode(), 0
    while at < len(text):
        cell = _CELL.match(text, at)
        assert cell is not None
        records[-1].append(cell[1].replace('""', '"') if cell[1] is not None else _number(cell[2]))
        at = cell.end()
        if text.startswith("\r\n", at):
            records.append([])
            at += 2
        elif at < len(text):
            assert text[at] == ","
            at += 1
    assert records.pop() == []
    head, *lines = records
    return [{name: value for name, value in zip(head, line, strict=True) if value is not None} for line in lines]


def _number(text: str) -> Any:
    return json.loads(text, parse_constant=str) if text else None


def plain(value: Any) -> Any:
    """A value as JSON lines and CSV have it."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and value - value != 0:
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"  # noqa: PLR0124
    return value
