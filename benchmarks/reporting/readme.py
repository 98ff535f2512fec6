"""The README's section between its bench markers: never written by hand."""

import re
from pathlib import Path
from typing import Final

from benchmarks.contender import ROOT
from benchmarks.errors import BenchError
from benchmarks.reporting import report
from benchmarks.reporting.results import BENCH, PEERS, Results

FILE: Final = ROOT / "README.md"
_SECTION: Final = re.compile(r"(<!-- bench -->\n).*?(<!-- /bench -->)", re.DOTALL)
_RUNS: Final = {BENCH: "`make bench`", PEERS: "`make bench-peers`"}


def write(results: Results, file: Path = FILE) -> None:
    """Replace the section. Raises BenchError when the file has no markers."""
    text = file.read_text(encoding="utf-8")
    section = section_of(results)
    replaced, count = _SECTION.subn(lambda found: f"{found[1]}{section}{found[2]}", text)
    if count != 1:
        raise BenchError(f"{file} has no section between <!-- bench --> and <!-- /bench -->")
    file.write_text(replaced, encoding="utf-8")


def section_of(results: Results) -> str:
    """The text between the markers."""
    groups = results.groups
    parts = [f"{_RUNS[name]}: {report.machine(machine)}" for name, machine in results.machines.items() if name in _RUNS]
    parts.append(report.bars(groups))
    if "rows" in groups:
        parts.append("One row of ten floats. CPU is processor time for each request, the model server's apart:")
        parts += [report.rows(groups["rows"]), _plot("rows", "requests a second and processor time, by clients")]
    if "image" in groups:
        parts += ["A picture of 150,528 floats, one client:", report.image(groups["image"])]
    if "guarded" in groups:
        parts += ["One row of ten floats, with keys, limits and the prediction log:", report.guarded(groups["guarded"])]
    if "peers" in groups:
        parts.append(_plot("peers", "requests a second of each server"))
    if "overload" in groups:
        parts.append(_plot("overload", "requests offered, answered and refused"))
    parts.append("Every figure: [benchmarks/results/results.md](benchmarks/results/results.md).")
    return "\n".join(part if part.endswith("\n") else f"{part}\n" for part in parts)


def _plot(name: str, what: str) -> str:
    return f"![{what}](benchmarks/results/{name}.svg)"
