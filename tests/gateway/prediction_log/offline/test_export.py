"""``log export`` on real sinks, and other programs that read its files."""

import json
import os
import pty
import subprocess
import sys
import venv
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

from gateway.prediction_log import tensors
from gateway.prediction_log.offline.records.prediction_logs import recorded_requests
from gateway.prediction_log.sinks.address import sink_at
from tests.gateway.prediction_log.making import a_label, a_row
from tests.gateway.prediction_log.offline.reading import rows_of, run, write

ROOT = Path(__file__).resolve().parents[4]
T = 1_795_694_400_000_000  # 2026-11-26T12:00:00Z
MINUTE = 60_000_000


@pytest.fixture(params=["sqlite", "postgresql", "file"])
def address(request, tmp_path):
    if request.param == "postgresql":
        return request.getfixturevalue("database")
    return {"sqlite": f"sqlite:///{tmp_path}/log.db", "file": f"file://{tmp_path}/log"}[request.param]


@pytest.fixture
def sqlite(tmp_path):
    return f"sqlite:///{tmp_path}/log.db"


def a_prediction(number, rows=2, **changes):
    """A request of ``rows`` instances whose tensors have one of each kind of dtype."""
    words = np.empty((rows, 1), object)
    words[:, 0] = [f"word {number}".encode()] * rows
    inputs = {
        "x": np.full((rows, 2), number / 8, np.float32),
        "count": np.full((rows, 1), number, np.int64),
        "small": np.full((rows,), number % 100, np.uint8),
        "on": np.full((rows, 1), number % 2 == 0),
        "word": words,
    }
    outputs = {"scores": np.tile(np.float32([0.25, 0.75]), (rows, 1)), "d": np.full((rows, 1), 0.1 + number)}
    plain = {"ts": T + number * MINUTE, "boot": "b", "seq": number, "request_id": f"r{number}", "rows": rows}
    return a_row(**plain | {"inputs": tensors.encode(inputs, True), "outputs": tensors.encode(outputs, True)} | changes)


LEFT_OUT = "left out: 1 requests without instances, such as refused ones; --per request has them\n"


def a_log(address):
    """Ten requests of two instances, two models and versions; the last but one was refused. Labels come late, and change."""
    rows = [a_prediction(n, model="ab"[n % 2], version=1 + n // 5) for n in range(9)]
    refused = a_row(
        ts=T + 9 * MINUTE, boot="b", seq=9, request_id="r9", model="b", version=2, status=400, error="INVALID_ARGUMENT"
    )
    labels = [
        a_label(ts=T + 90 * MINUTE, boot="b", seq=1, request_id="r3", row=1, label="4"),
        a_label(ts=T + 91 * MINUTE, boot="b", seq=2, request_id="r3", row=1, label="5"),
        a_label(ts=T + 91 * MINUTE, boot="b", seq=3, request_id="r8", row=0, label="6"),
        a_label(ts=T + 92 * MINUTE, boot="b", seq=4, request_id="unknown", row=0, label="7"),
    ]
    write(address, *rows, refused, *labels)


@pytest.mark.parametrize("form", ["parquet", "jsonl", "csv"])
def test_every_sink_gives_all_instances_with_their_last_labels(address, tmp_path, form):
    a_log(address)
    path = tmp_path / f"out.{form}"
    assert run("--log", address, "export", "--format", form, "--output", path) == (0, "", f"{path}: 18 rows\n{LEFT_OUT}")
    rows = rows_of(path)
    assert [(row["request_id"], row["row"]) for row in rows] == [(f"r{n}", i) for n in range(9) for i in range(2)]
    assert [(row["request_id"], row["row"], row["label"]) for row in rows if "label" in row] == [("r3", 1, 5), ("r8", 0, 6)]
    assert rows[-1]["in.count"] == 8
    assert rows[-1]["in.word"] == "word 8"
    assert rows[-1]["out.scores.top1"] == 1


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["--model", "a"], [0, 2, 4, 6, 8]),
        (["--model", "b", "--version", "2"], [5, 7]),
        (["--from", "2026-11-26T12:07", "--to", "2026-11-26T12:08"], [7]),
        (["--limit", "4"], [0, 1]),
    ],
)
def test_the_options_choose_rows(address, tmp_path, options, ids):
    a_log(address)
    path = tmp_path / "out.jsonl"
    assert run("--log", address, "export", "--format", "jsonl", "--output", path, *options)[0] == 0
    assert [row["request_id"] for row in rows_of(path)] == [f"r{n}" for n in ids for _ in range(2)]


def test_a_row_for_each_request_has_refused_ones_too(address, tmp_path):
    a_log(address)
    path = tmp_path / "out.jsonl"
    assert run("--log", address, "export", "--per", "request", "--format", "jsonl", "--output", path)[0] == 0
    rows = rows_of(path)
    assert [row["status"] for row in rows] == [200] * 9 + [400]
    assert rows[3]["labels"] == {"1": 5}
    assert rows[3]["inputs"]["x"] == [[0.375, 0.375]] * 2
    assert "inputs" not in rows[9]


def test_prediction_logs_of_the_answered_requests(address, tmp_path):
    a_log(address)
    path = tmp_path / "out"
    code, _, error = run("--log", address, "export", "--format", "predictionlog", "--limit", "7", "--output", path)
    assert (code, error) == (0, f"{path}: 7 records\n")
    assert [recorded.inputs["count"][0, 0] for recorded in recorded_requests(path)] == list(range(7))
    code, _, error = run("--log", address, "export", "--format", "predictionlog", "--output", path)
    assert "left out: 1 requests that were refused" in error


TYPES = {
    "ts": ("datetime64[us, UTC]", pl.Datetime("us", "UTC"), "TIMESTAMP WITH TIME ZONE"),
    "version": ("int64", pl.Int64, "BIGINT"),
    "weight": ("float64", pl.Float64, "DOUBLE"),
    "in.x.0": ("float32", pl.Float32, "FLOAT"),
    "in.count": ("int64", pl.Int64, "BIGINT"),
    "in.small": ("uint8", pl.UInt8, "UTINYINT"),
    "in.on": ("bool", pl.Boolean, "BOOLEAN"),
    "in.word": ("str", pl.String, "VARCHAR"),
    "out.scores.1": ("float32", pl.Float32, "FLOAT"),
    "out.scores.top1": ("int64", pl.Int64, "BIGINT"),
    "out.scores.top1_value": ("float32", pl.Float32, "FLOAT"),
    "out.d": ("float64", pl.Float64, "DOUBLE"),
    "label": ("int64", pl.Int64, "BIGINT"),
}


def test_pandas_polars_and_duckdb_read_the_types_of_the_signature(sqlite, tmp_path):
    labels = [
        a_label(ts=T, boot="b", seq=n * 2 + i, request_id=f"r{n}", row=i, label=str(n)) for n in range(5) for i in range(2)
    ]
    write(sqlite, *(a_prediction(n) for n in range(5)), *labels)
    path = tmp_path / "out.parquet"
    assert run("--log", sqlite, "export", "--output", path)[0] == 0
    frame, other = pd.read_parquet(path), pl.read_parquet(path)
    table = duckdb.read_parquet(str(path))
    described = list(zip(table.columns, map(str, table.types), strict=True))
    assert {name: (str(frame[name].dtype), other.schema[name], kind) for name, kind in described if name in TYPES} == TYPES
    assert frame["in.x.0"].tolist() == other["in.x.0"].to_list() == [n / 8 for n in range(5) for _ in range(2)]
    found = table.filter('"in.count" = 3 AND "row" = 1').project('"in.word", "in.count", label, ts')
    ((word, count, label, ts),) = found.fetchall()
    assert (word, count, label, ts.timestamp() * 1e6) == ("word 3", 3, 3, T + 3 * MINUTE)
    assert frame["ts"][0] == pd.Timestamp("2026-11-26T12:00:00Z")


def test_csv_and_json_lines_open_in_pandas_and_duckdb(sqlite, tmp_path):
    write(sqlite, *(a_prediction(n) for n in range(5)))
    readers = (("csv", pd.read_csv, duckdb.read_csv), ("jsonl", lambda path: pd.read_json(path, lines=True), duckdb.read_json))
    for form, read, query in readers:
        path = tmp_path / f"out.{form}"
        assert run("--log", sqlite, "export", "--format", form, "--output", path)[0] == 0
        frame = read(path)
        assert frame["in.x.1"].tolist() == [n / 8 for n in range(5) for _ in range(2)]
        assert frame["in.word"].tolist() == [f"word {n}" for n in range(5) for _ in range(2)]
        found = query(str(path)).aggregate('sum("in.count"), bool_and("in.on" = ("in.count" % 2 = 0))')
        assert found.fetchall() == [(20, True)]


def test_a_file_appears_when_it_is_complete_and_only_its_owner_reads_it(sqlite, tmp_path):
    write(sqlite, a_prediction(1), a_prediction(2, inputs=b"damaged"))
    path = tmp_path / "out.jsonl"
    path.write_text("before")
    code, _, error = run("--log", sqlite, "export", "--format", "jsonl", "--output", path)
    assert code == 1
    assert "request r2: its tensors cannot be read" in error
    assert path.read_text() == "before"
    assert sorted(one.name for one in tmp_path.iterdir() if one.name.endswith(".part")) == []
    assert run("--log", sqlite, "export", "--format", "jsonl", "--limit", "2", "--output", path)[0] == 0
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["export", "--output", "{folder}/no/such/out.csv"], 1, "/no/such/out.csv: No such file or directory"),
        (["export", "--format", "csv", "--output", "{folder}"], 1, "not a regular file"),
        (["export", "--output", "/dev/full/x.csv"], 1, "/dev/full/x.csv: Not a directory"),
        (["export", "--format", "csv", "--output", "/dev/stdout"], 1, "expected one, or - for the standard output"),
        (["export", "--format", "csv", "--output", "/proc/self/fd/1"], 1, "expected one, or - for the standard output"),
        (["export", "--output", ""], 2, "expected the path of a file"),
        (
            ["export", "--output", "{folder}/x.txt"],
            2,
            "x.txt: expected a name that ends in .parquet, .jsonl, .csv, or --format",
        ),
        (["export", "--output", "-"], 2, "-: expected a name that ends in"),
        (["export", "--output", "{folder}/x.parquet", "--format", "csv"], 2, "--format csv is another one than"),
        (["export", "--output", "{folder}/x.csv", "--format", "predictionlog"], 2, "--format predictionlog is another one"),
        (["export", "--output", "{folder}/x", "--format", "predictionlog", "--per", "request"], 2, "--per is for tables"),
        (["export", "--output", "{folder}/x.csv", "--model", "\udcff"], 2, "'--model': expected UTF-8"),
        (["export", "--output", "{folder}/x.csv", "--version", "99999999999999999999"], 2, "--version"),
        (["export"], 2, "Missing option '--output'"),
        (["export", "--output", "{folder}/x", "--format", "xml"], 2, "'xml' is not one of"),
        (["export", "--output", "{folder}/x", "--limit", "0"], 2, "--limit"),
        (["export", "--output", "{folder}/x", "--format", "predictionlog", "--model", "none"], 1, "no request to write"),
    ],
)
def test_what_cannot_be_done_is_said_in_words(sqlite, tmp_path, arguments, code, message):
    write(sqlite, a_prediction(1))
    found, out, error = run("--log", sqlite, *(argument.format(folder=tmp_path) for argument in arguments))
    assert (found, out) == (code, "")
    assert message in error
    assert "Traceback" not in error


def test_a_link_is_followed(sqlite, tmp_path):
    write(sqlite, a_prediction(1))
    link = tmp_path / "link.csv"
    link.symlink_to("target.csv")
    for _ in range(2):
        assert run("--log", sqlite, "export", "--output", link)[0] == 0
        assert link.is_symlink()
        assert len(rows_of(tmp_path / "target.csv")) == 2


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_hyphen_is_the_standard_output(sqlite, tmp_path, form):
    write(sqlite, a_prediction(1))
    assert run("--log", sqlite, "export", "--format", form, "--output", tmp_path / "out")[0] == 0
    command = [sys.executable, "-m", "gateway", "log", "--log", sqlite, "export", "--format", form, "--output", "-"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=100, check=True)
    assert done.stdout == (tmp_path / "out").read_bytes()
    assert not (ROOT / "-").exists()


def test_the_suffix_names_the_format(sqlite, tmp_path):
    write(sqlite, a_prediction(1))
    for name in ("out.parquet", "out.jsonl", "out.csv"):
        assert run("--log", sqlite, "export", "--output", tmp_path / name)[0] == 0
        assert len(rows_of(tmp_path / name)) == 2
    assert "[default: by the suffix" in run("export", "--help")[1]


def test_a_log_with_no_rows_gives_a_table_with_no_rows(sqlite, tmp_path):
    sink = sink_at(sqlite)
    sink.write([])
    sink.close()
    path = tmp_path / "out.parquet"
    assert run("--log", sqlite, "export", "--output", path)[0] == 0
    assert len(pd.read_parquet(path)) == 0


def python(*arguments, **environ):
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_without_pyarrow_parquet_is_refused_with_what_to_do(sqlite, tmp_path):
    write(sqlite, a_prediction(1))
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as util\nfind = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'pyarrow' else find(name, *rest)\n"
    )
    environ = {"PYTHONPATH": str(tmp_path), "GATEWAY_PREDICTION_LOG": sqlite}
    done = python("-m", "gateway", "log", "export", "--output", tmp_path / "out.parquet", **environ)
    assert done.returncode == 1
    assert done.stderr == (
        "Error: Parquet needs pyarrow, which is not installed: pip install 'serving-gateway[export]', or use --format jsonl\n"
    )
    assert python("-m", "gateway", "log", "export", "--format", "csv", "--output", tmp_path / "out", **environ).returncode == 0


def test_a_gateway_that_serves_loads_nothing_of_it():
    report = python(
        "-c",
        "import gateway.__main__, gateway.app, sys;"
        "print([name for name in sys.modules if 'offline' in name or name.startswith('pyarrow')])",
    )
    assert report.stdout == "[]\n"


def test_a_terminal_sees_progress_and_a_file_does_not(sqlite, tmp_path):
    write(sqlite, *(a_prediction(n) for n in range(20)))
    command = ["-m", "gateway", "log", "export", "--format", "jsonl", "--output", tmp_path / "out"]
    environ = {"GATEWAY_PREDICTION_LOG": sqlite}
    assert python(*command, **environ).stderr == f"{tmp_path}/out: 40 rows\n"
    terminal, end = pty.openpty()
    subprocess.run(
        [sys.executable, *map(str, command)], cwd=ROOT, env=os.environ | environ, stderr=end, check=True, timeout=100
    )
    os.close(end)
    shown = os.read(terminal, 65_536).decode()
    os.close(terminal)
    assert "writing" in shown
    assert "20/20" in shown


MEASURED = """
import sys
from tests.gateway.prediction_log.offline.reading import run
address, form, path = sys.argv[1:]
if form == "parquet":
    import pyarrow.parquet  # its import is no matter of the number of rows
status = lambda: int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
assert run("--log", address, "export", "--format", form, "--output", path, "--limit", "2000")[0] == 0
before = status()
assert run("--log", address, "export", "--format", form, "--output", path)[0] == 0
print(status() - before)
"""


@pytest.mark.parametrize("form", ["parquet", "jsonl", "csv", "predictionlog"])
def test_memory_does_not_grow_with_the_number_of_rows(tmp_path_factory, form):
    """The log is 100 MB; what is held of it is a row group at most."""
    folder = tmp_path_factory.getbasetemp() / "memory"
    address = f"file://{folder}/log"
    if not folder.exists():
        folder.mkdir()
        sink = sink_at(address)
        image = np.random.default_rng(0).integers(0, 255, (1, 3000), np.uint8)
        encoded = tensors.encode({"image": image}, True)
        for start in range(0, 24_000, 1000):
            sink.write(
                [
                    a_row(ts=T + n, boot="b", seq=n, request_id=f"r{n}", rows=1, inputs=encoded)
                    for n in range(start, start + 1000)
                ]
            )
    done = python("-c", MEASURED, address, form, folder / "out")
    assert done.returncode == 0, done.stderr
    grown_kib = int(done.stdout)
    assert grown_kib < (160 if form == "parquet" else 20) * 1024


EVIDENTLY = """
import sys, warnings
warnings.simplefilter("ignore")
import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset
reference, current = map(pd.read_parquet, sys.argv[1:])
found = Report([DataDriftPreset()]).run(current, reference).dict()["metrics"]
values = {m["config"]["column"]: float(m["value"]) for m in found if "column" in m["config"]}
import json; print(json.dumps(values))
"""


@pytest.mark.skipif(os.environ.get("LONG_TESTS") != "1", reason="it installs Evidently (700 MB); LONG_TESTS=1 runs it")
@pytest.mark.timeout(900)
def test_evidently_finds_drift_without_mapping_code(sqlite, tmp_path):
    """In an environment of its own: Evidently needs an older pandas."""
    random = np.random.default_rng(0)

    def a_week(shift, version):
        for n in range(600):
            inputs = {"x": random.normal((shift, 0), size=(1, 2)).astype(np.float32)}
            outputs = {"p": random.dirichlet([1, 1, 1], 1)}
            encoded = {"inputs": tensors.encode(inputs, True), "outputs": tensors.encode(outputs, True)}
            number = version * 1000 + n
            yield a_row(ts=T + number, boot="b", seq=number, request_id=f"r{number}", rows=1, version=version, **encoded)

    write(sqlite, *a_week(0, 1), *a_week(1, 2))
    paths = [tmp_path / f"{version}.parquet" for version in (1, 2)]
    for version, path in enumerate(paths, 1):
        assert run("--log", sqlite, "export", "--version", version, "--output", path)[0] == 0
    venv.create(tmp_path / "venv", with_pip=True)
    there = tmp_path / "venv" / "bin" / "python"
    subprocess.run([there, "-m", "pip", "install", "-q", "evidently==0.7.23", "pandas<3", "pyarrow"], check=True)
    report = subprocess.run([there, "-c", EVIDENTLY, *paths], check=True, capture_output=True, text=True).stdout
    values = json.loads(report.splitlines()[-1])
    assert values["in.x.0"] < 0.05
    assert values["in.x.1"] > 0.001
    assert {"out.p.0", "out.p.top1", "out.p.top1_value"} <= values.keys()
