"""Drift as metrics in Prometheus' text format, for the textfile collector of the node exporter."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from gateway.prediction_log.offline.drift.drift import ColumnDrift
from gateway.prediction_log.offline.failure import ExportFailure
from gateway.prediction_log.offline.output_file import written

_READABLE: Final = 0o644
# https://prometheus.io/docs/instrumenting/exposition_formats/#comments-help-text-and-type-information
_ESCAPED: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def write_textfile(path: Path, model: str, columns: Sequence[ColumnDrift]) -> None:
    """Write PSI and its p-value of each column of ``model``; a column without a verdict has none.

    The file takes the place of the old one at once, and everybody may read it: the exporter is another user, and only names of
    columns and numbers are in it. Raises ExportFailure when it cannot be written, or when the collector would not read it.
    """
    if path.suffix != ".prom":
        raise ExportFailure(f"{path}: the node exporter reads *.prom files only; expected such a name")
    with written(path, _READABLE) as part:
        part.write_text("".join(f"{line}\n" for line in _lines(model, columns)))


def _lines(model: str, columns: Sequence[ColumnDrift]) -> Iterator[str]:
    found = [(_labels(model, column.name), column.tests["psi"]) for column in columns if "psi" in column.tests]
    yield "# HELP gateway_drift_psi Population stability index of a column, between reference and current rows."
    yield "# TYPE gateway_drift_psi gauge"
    for labels, psi in found:
        yield f"gateway_drift_psi{labels} {psi.statistic!r}"
    yield "# HELP gateway_drift_psi_p_value How likely so large an index is without drift."
    yield "# TYPE gateway_drift_psi_p_value gauge"
    for labels, psi in found:
        if psi.p is not None:
            yield f"gateway_drift_psi_p_value{labels} {psi.p!r}"


def _labels(model: str, column: str) -> str:
    return f'{{model="{model.translate(_ESCAPED)}",column="{column.translate(_ESCAPED)}"}}'
