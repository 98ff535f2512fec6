"""Whether columns have drifted: every test of every column counts, and the level is divided by their number (Bonferroni)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from gateway.prediction_log.offline.drift.column import Values
from gateway.prediction_log.offline.drift.two_samples import (
    MOST_CATEGORIES,
    Result,
    category_counts,
    chi_square,
    decile_counts,
    kolmogorov_smirnov,
    population_stability_index,
)

LEAST_ROWS: Final = 500
"""With fewer rows on a side there is no verdict: PSI of few rows is large without any drift."""


@dataclass
class ColumnDrift:
    """What was found in a column. Without ``tests`` there is no verdict, and ``why`` says why.

    ``tests``: ``psi`` and ``ks`` of numbers, ``psi`` and ``chi_square`` of texts and of integers with few values, and ``nan``
    of the share of NaN. ``out_of_range``: the share of current numbers outside the range of the reference; it is no test.
    """

    name: str
    kind: str
    reference_rows: int
    current_rows: int
    reference_nan: float = 0.0
    current_nan: float = 0.0
    out_of_range: float = 0.0
    tests: dict[str, Result] = field(default_factory=dict)
    why: str = ""
    drifted: list[str] = field(default_factory=list)


def column_drift(name: str, reference: Values, current: Values) -> ColumnDrift:
    """The tests of one column."""
    kinds = {reference.kind, current.kind}
    kind = kinds.pop() if len(kinds) == 1 else "float"
    found = ColumnDrift(name, kind, len(reference), len(current))
    if "text" in (reference.kind, current.kind) and reference.kind != current.kind:
        found.why = "text on one side only"
    elif min(len(reference), len(current)) < LEAST_ROWS:
        found.why = f"fewer than {LEAST_ROWS} rows"
    else:
        found.reference_nan, found.current_nan = (side.nan / len(side) for side in (reference, current))
        found.tests = dict(_tests(kind, reference, current))
        found.out_of_range = _out_of_range(reference, current) if kind != "text" else 0.0
    return found


def judge(columns: list[ColumnDrift], alpha: float) -> int:
    """Note which tests of which columns say drift at the level ``alpha`` for all together. Returns the number of tests."""
    count = sum(result.p is not None for column in columns for result in column.tests.values())
    for column in columns:
        column.drifted = [test for test, result in column.tests.items() if result.p is not None and result.p * count < alpha]
    return count


def _tests(kind: str, reference: Values, current: Values) -> Iterator[tuple[str, Result]]:
    if kind == "text" or (kind == "integer" and len({*reference.counts, *current.counts}) <= MOST_CATEGORIES):
        counts = category_counts(reference.counts, current.counts)
        yield "psi", population_stability_index(*counts)
        yield "chi_square", chi_square(*counts)
        return
    if min(len(reference.numbers), len(current.numbers)) >= LEAST_ROWS:
        yield "psi", population_stability_index(*decile_counts(reference.numbers, current.numbers))
        yield "ks", kolmogorov_smirnov(reference.numbers, current.numbers)
    if kind == "float":
        yield "nan", chi_square(*(np.array([side.nan, len(side) - side.nan]) for side in (reference, current)))


def _out_of_range(reference: Values, current: Values) -> float:
    one, other = reference.numbers, current.numbers
    if not len(one) or not len(other):
        return 0.0
    return float(np.mean((other < one.min()) | (other > one.max())))
