"""The table of FAULTS.md, between its markers: never written by hand, but by `make fault-table`."""

import re
from collections.abc import Iterable
from pathlib import Path

from tests.faults.trial import Row

FILE = Path(__file__).resolve().parent.parent.parent / "FAULTS.md"
_SECTION = re.compile(r"(<!-- faults -->\n).*?(<!-- /faults -->)", re.DOTALL)
_HEAD = "| | what happens | what clients got | right again after | |\n|---|---|---|---|---|\n"


def write(rows: Iterable[Row]) -> None:
    """Replace the table."""
    text, count = _SECTION.subn(lambda found: f"{found[1]}{table(rows)}{found[2]}", FILE.read_text())
    assert count == 1, f"{FILE} has no table between its markers"
    FILE.write_text(text)


def table(rows: Iterable[Row]) -> str:
    return _HEAD + "".join(map(_line, sorted(rows, key=lambda row: (int(row.number.rstrip("abcdef")), row.number))))


def described(text: str) -> dict[str, str]:
    """By number what the table in ``text`` says that happens."""
    return dict(re.findall(r"^\| (\d+[a-f]?) \| ([^|]*) \|", text, re.MULTILINE))


def _line(row: Row) -> str:
    got = ", ".join(f"{count:,} x {kind}" for kind, count in sorted(row.got.items()))
    return f"| {row.number} | {row.what} | {got} | {row.right_again_s} s | {row.remark} |\n"
