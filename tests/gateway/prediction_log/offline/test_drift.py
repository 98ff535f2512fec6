"""Drift is found where there is some, and seldom where there is none: measured on thousands of samples with a seed."""

import json
import math
import os
import stat

import numpy as np
import pytest
import scipy.stats
from prometheus_client.parser import text_string_to_metric_families

from gateway.prediction_log import tensors
from gateway.prediction_log.offline.drift.column import Values
from gateway.prediction_log.offline.drift.distributions import chi_square_tail, kolmogorov_tail
from gateway.prediction_log.offline.drift.drift import column_drift, judge
from gateway.prediction_log.offline.drift.two_samples import (
    category_counts,
    chi_square,
    decile_counts,
    kolmogorov_smirnov,
    population_stability_index,
)
from gateway.prediction_log.offline.tables.files import write_instances
from gateway.prediction_log.offline.tables.labels import Labelled
from tests.gateway.prediction_log.making import a_row
from tests.gateway.prediction_log.offline.reading import run

RUNS = 1000
ROWS = 1000
ALPHA = 0.05
MOST_ALARMS = int(scipy.stats.binom.ppf(0.999, RUNS, ALPHA))


@pytest.mark.parametrize("degrees", [1, 2, 3, 8, 9, 10, 49, 50])
@pytest.mark.parametrize("statistic", [0, 1e-9, 0.3, 1, 5, 20, 60, 200, 2000])
def test_the_tail_of_chi_square_is_that_of_scipy(degrees, statistic):
    assert chi_square_tail(statistic, degrees) == pytest.approx(scipy.stats.chi2.sf(statistic, degrees), rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("scaled", [0, 0.1, 0.19, 0.2, 0.3, 0.7, 1.358, 1.628, 3, 10])
def test_the_tail_of_kolmogorov_is_that_of_scipy(scaled):
    assert kolmogorov_tail(scaled) == pytest.approx(scipy.stats.kstwobign.sf(scaled), rel=1e-9, abs=1e-11)


def test_ks_and_chi_square_are_those_of_scipy():
    random = np.random.default_rng(1)
    one, other = random.normal(size=700), random.normal(0.1, size=900).round(1)
    ours, theirs = kolmogorov_smirnov(one, other), scipy.stats.ks_2samp(one, other, method="asymp")
    assert ours.statistic == pytest.approx(theirs.statistic)
    assert ours.p == pytest.approx(theirs.pvalue, rel=0.1)  # SciPy's is for finite samples
    table = np.array([[10, 200, 3], [30, 150, 9]])
    ours, theirs = chi_square(*table), scipy.stats.chi2_contingency(table, correction=False)
    assert (ours.statistic, ours.p) == (pytest.approx(theirs.statistic), pytest.approx(theirs.pvalue))


def test_psi_is_the_sum_of_its_definition():
    one, other = np.array([1000, 2000, 7000]), np.array([1500, 2500, 6000])
    p, q = one / one.sum(), other / other.sum()
    assert population_stability_index(one, other).statistic == pytest.approx(((p - q) * np.log(p / q)).sum(), rel=1e-3)


def a_sample(random, shift=0.0, rows=ROWS):
    """Columns as a log has them: numbers, whole numbers with many and with few values, texts, booleans, NaN, and many ties."""
    floats = random.normal(shift, size=rows)
    ties = np.maximum(random.normal(shift, size=rows), 0)
    holes = np.where(random.random(rows) < 0.1, np.nan, random.normal(shift, size=rows))
    return {
        "normal": Values("float", floats),
        "ties": Values("float", ties),
        "holes": Values("float", holes),
        "wide": Values("integer", (random.normal(shift, size=rows) * 1000).astype(np.int64)),
        "classes": Values("integer", np.clip(random.normal(shift, size=rows) * 2 + 5, 0, 9).astype(np.int64)),
        "words": Values("text", [f"w{int(value)}" for value in np.clip(random.normal(shift, size=rows) * 2 + 5, 0, 9)]),
    }


def drifted(reference, current):
    columns = [column_drift(name, reference[name], current[name]) for name in reference]
    assert judge(columns, ALPHA) == 13
    return {column.name for column in columns if column.drifted}


def test_false_alarms_of_a_whole_report_stay_within_the_binomial_bound():
    random = np.random.default_rng(20261127)
    alarms = sum(bool(drifted(a_sample(random), a_sample(random))) for _ in range(RUNS))
    assert alarms <= MOST_ALARMS


@pytest.mark.parametrize("name", list(a_sample(np.random.default_rng(0), rows=1)))
def test_false_alarms_of_each_test_stay_within_the_binomial_bound(name):
    """Without Bonferroni: each p-value below 0.05 in at most as many runs as chance allows."""
    random = np.random.default_rng(7)
    alarms: dict[str, int] = {}
    for _ in range(RUNS):
        for test, result in column_drift(name, a_sample(random)[name], a_sample(random)[name]).tests.items():
            alarms[test] = alarms.get(test, 0) + (result.p is not None and result.p < ALPHA)
    assert all(count <= MOST_ALARMS for count in alarms.values()), alarms
    assert any(alarms.values())


@pytest.mark.skipif(os.environ.get("LONG_TESTS") != "1", reason="a minute; LONG_TESTS=1 runs it")
@pytest.mark.parametrize("rows", [500, 1000, 5000])
def test_psi_s_p_value_holds_far_out_in_the_tail(rows):
    """As with hundreds of columns, where Bonferroni asks for 1 in 4,000."""
    random = np.random.default_rng(3)
    runs, level = 40_000, 1 / 4000
    alarms = 0
    for _ in range(runs):
        alarms += population_stability_index(*decile_counts(random.normal(size=rows), random.normal(size=rows))).p < level
    assert alarms <= scipy.stats.binom.ppf(0.999, runs, level)


def test_a_shift_of_half_a_standard_deviation_is_found_in_99_of_100_reports():
    random = np.random.default_rng(20261128)
    reports = [drifted(a_sample(random), a_sample(random, 0.5)) for _ in range(RUNS)]
    for name in a_sample(random):
        assert sum(name in report for report in reports) >= 0.99 * len(reports), name


@pytest.mark.parametrize("rows", [500, 1000])
def test_a_shift_of_one_column_among_many_is_found(rows):
    random = np.random.default_rng(11)
    found = 0
    for _ in range(RUNS):
        columns = [column_drift("x", Values("float", random.normal(size=rows)), Values("float", random.normal(0.5, size=rows)))]
        judge(columns, ALPHA / 50)
        found += bool(columns[0].drifted)
    assert found >= 0.99 * RUNS


def test_there_is_no_verdict_under_500_rows_a_side():
    few, many = Values("float", np.zeros(499)), Values("float", np.ones(5000))
    for pair in ((few, many), (many, few)):
        column = column_drift("x", *pair)
        assert (column.tests, column.why) == ({}, "fewer than 500 rows")
    assert column_drift("x", Values("float", np.zeros(500)), many).tests["ks"].p < 1e-9


def test_a_larger_share_of_nan_is_drift():
    random = np.random.default_rng(5)
    one, other = random.normal(size=2000), random.normal(size=2000)
    other[:100] = np.nan
    column = column_drift("x", Values("float", one), Values("float", other))
    judge([column], ALPHA)
    assert column.drifted == ["nan"]
    assert (column.reference_nan, column.current_nan) == (0.0, 0.05)


def test_a_column_of_one_value_has_nothing_to_test():
    for values in (
        Values("text", ["a"] * 600),
        Values("integer", np.ones(600, int)),
        Values("text", list(map(str, range(600)))),
    ):
        column = column_drift("x", values, values)
        assert judge([column], ALPHA) == 0
        assert not column.drifted


def test_a_category_that_is_new_is_drift_and_rare_ones_count_together():
    reference = Values("text", ["a"] * 900 + ["b"] * 100)
    judged = column_drift("x", reference, Values("text", ["a"] * 850 + ["b"] * 100 + ["c"] * 50))
    judge([judged], ALPHA)
    assert judged.drifted == ["psi", "chi_square"]
    rare = {f"r{i}": 1 for i in range(40)}
    one, other = category_counts({"a": 900} | rare, {"a": 940})
    assert (one.tolist(), other.tolist()) == ([900, 40], [940, 0])


def test_infinities_are_numbers():
    random = np.random.default_rng(5)
    values = random.normal(size=1000)
    values[:100] = np.inf
    column = column_drift("x", Values("float", values), Values("float", random.normal(size=1000)))
    judge([column], ALPHA)
    assert set(column.drifted) == {"psi", "ks"}
    assert column.tests["ks"].statistic >= 0.1
    assert all(math.isfinite(result.statistic) for result in column.tests.values())


# The command, on exported files.


def exported(folder, name, form="parquet", *, rows=1000, shift=0.0, seed=0, **changes):
    random = np.random.default_rng(seed)

    def requests():
        for n in range(rows // 100):
            text = np.empty((100, 1), object)
            text[:, 0] = [b"red" if value < 0.3 else b"green" for value in random.random(100)]
            inputs = {
                "x": random.normal(shift, size=(100, 2)).astype(np.float32),
                "colour": text,
                "on": random.random((100, 1)) < 0.5,
            }
            scores = {"scores": random.dirichlet([1, 1, 1], 100)}
            yield Labelled(
                a_row(
                    request_id=f"r{n}",
                    rows=100,
                    inputs=tensors.encode(inputs, True),
                    outputs=tensors.encode(scores, True),
                    **changes,
                ),
                {},
            )

    path = folder / f"{name}.{form}"
    write_instances(path, form, requests(), None)
    return path


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_no_drift_is_exit_0_and_drift_is_exit_3(tmp_path, form):
    reference = exported(tmp_path, "a", form)
    same = exported(tmp_path, "b", form, seed=1)
    shifted = exported(tmp_path, "c", "parquet", shift=0.5, seed=2)
    code, out, error = run("drift", "--reference", reference, "--current", same)
    assert (code, error) == (0, "")
    head, *lines, last = out.splitlines()
    assert head.split() == ["COLUMN", "ROWS", "PSI", "P", "TEST", "STATISTIC", "P", "NAN", "P", "OUT", "OF", "RANGE", "VERDICT"]
    assert {line.split()[0] for line in lines} == {
        *("in.x.0", "in.x.1", "in.colour", "in.on", "out.scores.0", "out.scores.1", "out.scores.2"),
        *("out.scores.top1", "out.scores.top1_value"),
    }
    assert all(line.endswith("no drift") for line in lines)
    assert last == "18 tests, each at 0.05 / 18: no drift"
    code, out, _ = run("drift", "--reference", reference, "--current", shifted)
    assert code == 3
    assert out.splitlines()[-1].endswith("drift in in.x.0, in.x.1")


def test_json_has_all_that_was_found(tmp_path):
    reference, current = exported(tmp_path, "a"), exported(tmp_path, "b", "jsonl", shift=0.5, seed=1)
    code, out, _ = run("drift", "--reference", reference, "--current", current, "--json")
    document = json.loads(out)
    assert (code, document["drift"], document["alpha"]) == (3, True, 0.05)
    columns = {column["name"]: column for column in document["columns"]}
    assert columns["in.x.0"]["drifted"] == ["psi", "ks"]
    assert columns["in.x.0"]["tests"]["ks"]["p"] < 1e-9
    assert columns["in.x.0"]["out_of_range"] < 0.05
    assert columns["in.colour"]["kind"] == "text"
    assert columns["in.colour"]["tests"].keys() == {"psi", "chi_square"}
    assert columns["in.on"]["drifted"] == []


def test_the_textfile_has_psi_and_its_p_value_of_each_column_with_a_verdict(tmp_path):
    name = 'a "b"\\c'
    reference = exported(tmp_path, "a", model=name)
    current = exported(tmp_path, "b", "jsonl", model=name, shift=0.5, seed=1)
    textfile = tmp_path / "drift.prom"
    sides = ("--reference", reference, "--current", current)
    assert run("drift", *sides, "--push-textfile", textfile)[0] == 3
    columns = json.loads(run("drift", *sides, "--json")[1])["columns"]
    found = {
        (sample.name, sample.labels["model"], sample.labels["column"]): sample.value
        for family in text_string_to_metric_families(textfile.read_text())
        for sample in family.samples
    }
    assert found == {
        (f"gateway_drift_{metric}", name, column["name"]): column["tests"]["psi"][number]
        for metric, number in (("psi", "statistic"), ("psi_p_value", "p"))
        for column in columns
    }
    assert found["gateway_drift_psi_p_value", name, "in.x.0"] < 1e-9 < found["gateway_drift_psi_p_value", name, "in.on"]
    assert stat.S_IMODE(textfile.stat().st_mode) == 0o644


def test_the_textfile_is_replaced_whole_or_stays_as_it_was(tmp_path):
    few, many, textfile = exported(tmp_path, "a", rows=400), exported(tmp_path, "b"), tmp_path / "drift.prom"
    textfile.write_text("gateway_drift_psi 1\n")
    with textfile.open() as old:
        assert run("drift", "--reference", tmp_path / "none", "--current", many, "--push-textfile", textfile)[0] == 1
        assert textfile.read_text() == "gateway_drift_psi 1\n"
        assert run("drift", "--reference", few, "--current", many, "--push-textfile", textfile)[0] == 1
        assert [line for line in textfile.read_text().splitlines() if line[0] != "#"] == []
        assert old.read() == "gateway_drift_psi 1\n"
    assert {path.name for path in tmp_path.iterdir()} == {"a.parquet", "b.parquet", "drift.prom"}


@pytest.mark.parametrize(("name", "message"), [("drift.txt", "*.prom files only"), ("none/drift.prom", "No such file")])
def test_a_textfile_that_cannot_be_read_or_written_is_exit_1(tmp_path, name, message):
    sides = ("--reference", exported(tmp_path, "a"), "--current", exported(tmp_path, "b", shift=0.5, seed=1))
    code, _, error = run("drift", *sides, "--push-textfile", tmp_path / name)
    assert (code, message in error) == (1, True)
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("alpha", ["nan", "inf", "0", "0.6"])
def test_a_level_that_no_p_value_is_compared_with_is_refused(tmp_path, alpha):
    side = exported(tmp_path, "a")
    code, out, error = run("drift", "--reference", side, "--current", side, "--alpha", alpha)
    assert (code, out) == (2, "")
    assert "--alpha" in error


def test_too_few_rows_are_exit_1(tmp_path):
    few, many = exported(tmp_path, "a", rows=400), exported(tmp_path, "b")
    code, out, error = run("drift", "--reference", few, "--current", many)
    assert (code, error) == (1, "Error: no verdict: fewer than 500 rows\n")
    assert "400/1000" in out


def test_refused_requests_do_not_count(tmp_path):
    code, _, error = run("drift", "--reference", exported(tmp_path, "a", status=503), "--current", exported(tmp_path, "b"))
    assert code == 1
    assert "fewer than 500 rows" in error


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"PAR1 and no more", "not a Parquet file"),
        (b"a,b\n1,2\n", "line 1 is no JSON; expected Parquet or JSON lines of log export"),
        (b"[1]\n", "line 1 is no object"),
        (b'{"status":200}\n', "there are no columns in.* and out.*"),
        (b'{"model":"a","in.x":1}\n{"model":"b","in.x":1}\n', "rows of 2 models (a, b); export one with --model"),
    ],
)
def test_a_file_that_is_no_export_is_exit_1_and_said_in_words(tmp_path, content, message):
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    code, _, error = run("drift", "--reference", path, "--current", path)
    assert code == 1
    assert message in error
    assert "Traceback" not in error
