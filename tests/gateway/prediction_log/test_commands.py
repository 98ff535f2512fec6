"""``log tail``, ``log purge`` and ``log gaps``, on real sinks."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from click.testing import CliRunner

from gateway.prediction_log.commands import log_commands
from gateway.prediction_log.log import PredictionLog
from gateway.prediction_log.rules import Rules
from gateway.prediction_log.sinks.address import sink_at
from tests.gateway.prediction_log.making import a_label, a_row, offer
from tests.postgres import PASSWORD

ROOT = Path(__file__).resolve().parents[3]
T = 1_795_694_400_000_000  # 2026-11-26T12:00:00Z


@pytest.fixture(params=["sqlite", "postgresql", "file"])
def address(request, tmp_path):
    if request.param == "postgresql":
        return request.getfixturevalue("database")
    return {"sqlite": f"sqlite:///{tmp_path}/log.db", "file": f"file://{tmp_path}/log"}[request.param]


@pytest.fixture
def sqlite(tmp_path):
    return f"sqlite:///{tmp_path}/log.db"


def run(*arguments, **environ):
    """The exit code, what is printed, and what is printed as an error."""
    result = CliRunner().invoke(log_commands, arguments, env={"GATEWAY_PREDICTION_LOG": "", "DATABASE_URL": ""} | environ)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def write(address, *rows):
    sink = sink_at(address)
    sink.write(rows)
    sink.close()


def test_tail_shows_time_features_and_prediction(address):
    log = PredictionLog(sink_at(address), Rules())
    log.start()
    offer(log, "first")
    offer(log, "second", status=503, error="UNAVAILABLE", version=None, inputs=None, outputs=None)
    log.close()
    code, out, _ = run("--log", address, "tail")
    head, first, second = out.splitlines()
    assert code == 0
    assert head.split() == ["TIME", "STATUS", "MODEL", "MS", "INPUTS", "OUTPUTS", "REQUEST"]
    assert first.startswith(time.strftime("%Y-%m-%dT", time.gmtime()))
    cells = ["200", "digits/3", "3.2", "features=[[0.0,1.0,2.0,3.0,4.0,5.0,6.0,7.0,8.0,9.0]]", "prediction=[[4.25]]", "first"]
    assert first.split()[1:] == cells
    assert second.split()[1:] == ["503", "UNAVAILABLE", "digits", "3.2", "-", "-", "second"]


def test_tail_prints_the_newest_rows_that_the_options_ask_for(address):
    rows = [
        a_row(ts=T + n * 60_000_000, boot="b", seq=n, request_id=f"r{n}", model="ab"[n % 2], status=(200, 400, 503)[n % 3])
        for n in range(1, 9)
    ]
    write(address, *rows)

    def shown(*options):
        return [line.split()[-1] for line in run("--log", address, "tail", *options)[1].splitlines()[1:]]

    assert shown() == [f"r{n}" for n in range(1, 9)]
    assert shown("-n", "2") == ["r7", "r8"]
    assert shown("-n", "2", "--model", "b") == ["r5", "r7"]
    assert shown("--version", "4") == []
    assert shown("--status", "503") == ["r2", "r5", "r8"]
    assert shown("--status", "4xx", "-n", "2") == ["r4", "r7"]
    assert shown("--status", "5XX", "--model", "a") == ["r2", "r8"]
    assert shown("--request", "r3") == ["r3"]
    assert shown("--from", "2026-11-26T12:07:00", "--to", "2026-11-26T13:08+01:00") == ["r7"]


def test_tail_as_json_has_every_column_and_values_as_they_were(sqlite):
    text = np.empty(2, object)
    text[:] = [b"caf\xc3\xa9", b"\xff"]
    inputs = {
        "x": np.array([0.1, np.nan], np.float32),
        "text": text,
        "half": np.array([1.5], ml_dtypes.bfloat16),
        "one": np.array(7),
    }
    outputs = {"z": np.array([1 + 2j]), "image": np.ones((10, 10), np.uint8), "i": np.array([2**63 - 1])}
    log = PredictionLog(sink_at(sqlite), Rules())
    log.start()
    offer(log, "r", inputs=inputs, outputs=outputs)
    log.close()
    (line,) = run("--log", sqlite, "tail", "--json")[1].splitlines()
    row = json.loads(line)
    assert set(row) == set(a_row().__struct_fields__)
    assert row["inputs"] == {"x": [0.1, None], "text": ["café", "\ufffd"], "half": [1.5], "one": 7}
    summary = {"dtype": "uint8", "shape": [10, 10], "mean": 1.0, "std": 0.0, "min": 1.0, "max": 1.0, "nan": 0}
    assert row["outputs"] == {"z": [[1.0, 2.0]], "image": summary, "i": [2**63 - 1]}
    assert bytes.fromhex(row["digest"])


def test_tail_shows_large_tensors_by_their_shape_and_cuts_long_cells(sqlite):
    log = PredictionLog(sink_at(sqlite), Rules())
    log.start()
    offer(log, inputs={"image": np.zeros((1, 28, 28), np.uint8)}, outputs={"scores": np.full(40, 0.5)})
    log.close()
    row = run("--log", sqlite, "tail")[1].splitlines()[1]
    assert "image=uint8[1, 28, 28]" in row
    assert "scores=[0.5,0.5," in row
    assert "…" in row
    assert len(row) < 200


def test_purge_deletes_what_is_older_and_says_how_much(address):
    now = time.time_ns() // 1000
    day = 86_400_000_000
    old = [a_row(ts=now - 31 * day - n, boot="b", seq=n) for n in range(1500)]
    write(address, *old, a_row(ts=now - 29 * day, boot="b", seq=9000), a_label(ts=now - 40 * day, boot="b", seq=1))
    assert run("--log", address, "purge", "--older-than", "30d") == (0, "1501 rows deleted\n", "")
    assert run("--log", address, "purge", "--older-than", "30d") == (0, "0 rows deleted\n", "")
    assert len(run("--log", address, "tail")[1].splitlines()) == 2


@pytest.mark.parametrize("command", [["tail"], ["gaps"], ["purge", "--older-than", "1d"]], ids=lambda command: command[0])
def test_a_mistyped_address_makes_no_file(sqlite, tmp_path, command):
    code, out, error = run("--log", sqlite, *command)
    assert (code, out) == (1, "")
    assert "there is no such file" in error
    assert list(tmp_path.iterdir()) == []


def test_gaps_says_what_each_worker_lost(address):
    write(address, *(a_row(ts=n, boot="abc", seq=n) for n in (1, 2, 5)), a_label(ts=1, boot="abc", seq=1))
    lines = [line.split() for line in run("--log", address, "gaps")[1].splitlines()]
    assert lines == [
        ["TABLE", "WORKER", "ROWS", "MISSING"],
        ["predictions", "abc", "3", "2"],
        ["feedback", "abc", "1", "0"],
    ]


def test_the_address_is_that_of_the_gateway_or_else_the_databases(sqlite, tmp_path):
    write(sqlite, a_row(request_id="here"))
    other = f"sqlite:///{tmp_path}/other.db"
    assert "here" in run("tail", GATEWAY_PREDICTION_LOG=sqlite, DATABASE_URL=other)[1]
    assert "here" in run("tail", DATABASE_URL=sqlite)[1]
    assert "here" in run("--log", sqlite, "tail", GATEWAY_PREDICTION_LOG=other)[1]
    assert "here" in run("--log", other, "tail", "--log", sqlite)[1]
    assert "here" in run("tail", "--log", sqlite, GATEWAY_PREDICTION_LOG=other)[1]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["tail"], 2, "no address: expected GATEWAY_PREDICTION_LOG (or DATABASE_URL) to be set, or --log URL"),
        (["--log", "off", "tail"], 1, "Error: the prediction log is off"),
        (
            ["--log", "mysql://anna:secret-word@host/x", "tail"],
            1,
            "Error: the prediction log's address: expected sqlite:///file",
        ),
        (["--log", "sqlite:////no/such/log.db", "tail"], 1, "Error: sqlite:////no/such/log.db: there is no such file"),
        (["--log", "file:///no/such", "tail"], 1, "Error: file:///no/such: No such file or directory"),
        (["--log", "sqlite:////dev/null", "tail"], 1, "Error: sqlite:////dev/null: "),
        (["--log", "{database}x", "tail"], 1, "does not exist"),
        (["--log", "{database}", "tail"], 1, "there is no prediction log in it: it has no table prediction_log_schema"),
        (["--log", "sqlite:////no/such/log.db", "purge", "--older-than", "1d"], 1, "log.db: there is no such file"),
        (["--log", "{database}", "purge", "--older-than", "1d"], 1, "there is no prediction log in it"),
        (["--log", "{database}", "gaps"], 1, "there is no prediction log in it"),
        (["--log", "{database}", "tail", "-n", "0"], 2, "-n"),
        (["--log", "{database}", "tail", "-n", "99999999999999999999"], 2, "-n"),
        (["--log", "{database}", "tail", "--version", "99999999999999999999"], 2, "--version"),
        (["--log", "{database}", "tail", "--model", "\udcff"], 2, "'--model': expected UTF-8, got '\\udcff'"),
        (["--log", "{database}", "tail", "--request", "\udcff"], 2, "'--request': expected UTF-8"),
        (["--log", "{database}", "tail", "--from", "noon"], 2, "'noon': expected a time such as 2026-11-26"),
        (["--log", "{database}", "purge", "--older-than", "30"], 2, "'30': expected a number up to 999999 and a unit"),
        (["--log", "{database}", "purge", "--older-than", "0d"], 2, "'0d': expected a number up to 999999 and a unit"),
        (["--log", "{database}", "purge", "--older-than", "99999999d"], 2, "expected a number up to 999999 and a unit"),
        (["--log", "{database}", "purge"], 2, "Missing option '--older-than'"),
    ],
)
def test_what_cannot_be_done_is_said_in_words_and_without_a_password(database, arguments, code, message):
    found, out, error = run(*(argument.format(database=database) for argument in arguments))
    assert (found, out) == (code, "")
    assert message in error
    assert "Traceback" not in error
    assert "secret-word" not in error
    assert PASSWORD not in error


def test_ctrl_c_leaves_no_traceback_however_early_it_comes(sqlite):
    """While modules are imported, and while the command runs."""
    write(sqlite)
    for module in ("gateway.settings", "gateway.prediction_log.offline.commands.drift"):
        code = f"""
import os, runpy, signal, sys

class Interrupt:
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
sys.argv = ["gateway", "log", "tail"]
runpy.run_module("gateway", run_name="__main__", alter_sys=True)
"""
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=os.environ | {"GATEWAY_PREDICTION_LOG": sqlite},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode in (-signal.SIGINT, 1)
        assert (done.stdout, done.stderr.replace("\n", "")) in [("", ""), ("", "Aborted!")]
