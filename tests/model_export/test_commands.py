"""`python -m model_export` from the outside: what it prints where, and how it exits."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from model_export import console
from model_export.publishing.publication import publish
from tests.waiting import wait_for

REPOSITORY = Path(__file__).parents[2]
COMMANDS = ("build", "publish", "list", "show", "prune", "rollback", "restore")


@pytest.fixture
def models(tmp_path, built) -> Path:
    """The folder that the commands use by default, with half_plus_two in three versions."""
    for _ in range(3):
        publish(
            tmp_path / "models" / "half_plus_two",
            lambda folder: shutil.copytree(built / "half_plus_two" / "1", folder, dirs_exist_ok=True),
        )
    return tmp_path / "models"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestHelp:
    def test_every_command_explains_itself_and_its_folder(self, run):
        overview = run("--help")
        assert overview.returncode == 0
        for command in COMMANDS:
            assert f"\n  {command} " in overview.stdout
            told = run(command, "-h")
            assert told.returncode == 0
            assert "--models-dir" in told.stdout

    def test_no_command_is_wrong_usage(self, run):
        assert run().returncode == 2

    def test_the_program_starts_without_tensorflow(self):
        script = "import sys; import model_export.__main__; print('tensorflow' in sys.modules)"
        told = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True)

        assert told.stdout == "False\n"


class TestBuild:
    def test_without_a_name_lists_the_examples(self, run, tmp_path):
        listed = run("build")

        assert listed.returncode == 0
        assert [line.split()[0] for line in listed.stdout.splitlines()] == [
            "EXAMPLE",
            "half_plus_two",
            "dense",
            "digits",
            "basket",
        ]
        assert names(tmp_path) == []

    @pytest.mark.parametrize("arguments", [["nope"], ["digits", "--all"], ["--wrong"]])
    def test_wrong_usage_exits_with_2(self, run, tmp_path, arguments):
        refused = run("build", *arguments)

        assert (refused.returncode, refused.stdout) == (2, "")
        assert "Traceback" not in refused.stderr
        assert names(tmp_path) == []

    def test_makes_the_next_version_of_each_and_tells_progress_apart_from_results(self, run, models, tmp_path):
        made = run("build", "half_plus_two", "basket")

        assert made.returncode == 0
        assert made.stdout.splitlines() == [
            "published model=half_plus_two version=4 path=models/half_plus_two/4",
            "published model=basket version=1 path=models/basket/1",
        ]
        assert made.stderr.splitlines() == [
            "half_plus_two: starting TensorFlow",
            "half_plus_two: writing",
            "half_plus_two: checking every signature",
            "basket: writing",
            "basket: checking every signature",
        ]
        assert (models / "basket" / "1" / "saved_model.pb").is_file()

    def test_if_missing_leaves_out_what_has_a_version(self, run, models):
        kept = run("build", "--if-missing", "half_plus_two")

        assert (kept.returncode, kept.stdout, kept.stderr) == (0, "kept model=half_plus_two version=3\n", "")
        assert names(models / "half_plus_two") == [".last-version", "1", "2", "3"]

    def test_an_interrupted_build_removes_what_it_wrote(self, command, tmp_path):
        statuses = {signal.SIGINT: 130, signal.SIGTERM: 143}
        folders = {number: tmp_path / number.name for number in statuses}
        building = {number: command(tmp_path, "build", "dense", "--models-dir", folders[number].name) for number in statuses}
        uninterrupted = dict(building)

        def interrupt_those_that_write() -> bool:
            for number in [number for number in uninterrupted if list(folders[number].glob("dense/.tmp-*"))]:
                uninterrupted.pop(number).send_signal(number)
            return not uninterrupted

        wait_for(interrupt_those_that_write, timeout_s=60)
        for number, process in building.items():
            stdout, stderr = process.communicate(timeout=60)
            assert (process.returncode, stdout) == (statuses[number], "")
            assert "Traceback" not in stderr
            assert names(folders[number]) == []


class TestPublish:
    def test_shows_the_version_its_signatures_and_the_lines_that_the_server_needs(self, invoke, built, tmp_path):
        (tmp_path / "serving_config").mkdir()
        config = tmp_path / "serving_config" / "models.config"
        config.write_text('model_config_list { config { name: "digits" base_path: "/models/digits" } }')
        made = invoke("publish", str(built / "half_plus_two" / "1"), "--name", "mine")

        assert made.exit_code == 0
        lines = made.stdout.splitlines()
        assert lines[0] == "published model=mine version=1 path=models/mine/1"
        assert lines[-10:-5] == [
            "serving_config/models.config does not list mine yet.",
            "",
            "To serve it with `make serve`, start that again.",
            "For docker compose or tensorflow/serving, add inside model_config_list there:",
            "",
        ]
        assert lines[-5:] == [
            "  config {",
            '    name: "mine"',
            '    base_path: "/models/mine"',
            '    model_platform: "tensorflow"',
            "  }",
        ]
        assert ["serving_default", "predict", "in", "x", "float", "[-1,1]"] in [line.split() for line in lines]

    def test_make_serve_is_not_mentioned_for_a_folder_that_it_does_not_serve(self, invoke, built, tmp_path):
        (tmp_path / "models.config").write_text("model_config_list { }")
        options = ("--model-config-file", "models.config", "--models-dir", "other")
        made = invoke("publish", str(built / "half_plus_two" / "1"), "--name", "mine", *options)

        assert "models.config does not list mine yet.\n\nFor docker compose" in made.stdout

    def test_a_path_of_no_known_form_exits_with_1_and_one_line(self, run, tmp_path):
        refused = run("publish", "nowhere", "--name", "mine")

        assert (refused.returncode, refused.stdout) == (1, "")
        last = refused.stderr.splitlines()[-1]
        assert last.startswith("error: nowhere: expected a .keras file")
        assert "Traceback" not in refused.stderr
        assert names(tmp_path / "models") == []

    @pytest.mark.parametrize("name", ["a/b", "../x", "", "a:predict"])
    def test_a_name_that_does_not_fit_a_url_is_wrong_usage(self, run, tmp_path, name):
        refused = run("publish", "x.keras", "--name", name)

        assert refused.returncode == 2
        assert "cannot name a model" in refused.stderr
        assert names(tmp_path) == []

    def test_a_full_disk_exits_with_1_and_leaves_nothing(self, tmp_path, built):
        """A limit on the size of files fails writes in Python and in TensorFlow as a full disk does."""
        source = built / "half_plus_two" / "1"
        limited = subprocess.run(
            ["bash", "-c", 'ulimit -f 1; exec "$0" -m model_export publish "$1" --name mine', sys.executable, str(source)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

        assert (limited.returncode, limited.stdout) == (1, "")
        assert limited.stderr.splitlines()[-1].startswith("error: File too large")
        assert names(tmp_path / "models") == []

    def test_takes_samples_and_tells_whether_rows_are_independent(self, run, tmp_path):
        (tmp_path / "sample.jsonl").write_text('{"inputs": [[0.25]]}\n{"instances": [[1.0], [2.0]]}\n')
        (tmp_path / "mine.py").write_text(
            "import tensorflow as tf\n"
            "def make():\n"
            "    spec = tf.TensorSpec([None, 1], tf.float32, name='x')\n"
            "    return tf.Module(), {'serving_default': tf.function(lambda x: {'y': x / 2}, input_signature=[spec])}\n"
        )
        made = run("publish", "mine:make", "--name", "mine", "--sample", "sample.jsonl")

        assert (made.returncode, made.stdout.splitlines()[:2]) == (
            0,
            [
                "published model=mine version=1 path=models/mine/1",
                "signature serving_default: rows are independent",
            ],
        )
        warmed = (tmp_path / "models" / "mine" / "1" / "assets.extra" / "tf_serving_warmup_requests").read_bytes()
        assert warmed.count(b"serving_default") == 2

    def test_a_sample_that_fails_exits_with_1_and_leaves_nothing(self, invoke, built, tmp_path):
        (tmp_path / "sample.json").write_text('{"inputs": ["text"]}')
        failed = invoke("publish", str(built / "half_plus_two" / "1"), "--name", "mine", "--sample", "sample.json")

        assert str(failed.exception) == 'sample.json: input x: [0]: expected a number that float32 can hold, got "text"'
        assert names(tmp_path / "models") == []

    def test_a_sample_that_is_missing_is_wrong_usage(self, invoke):
        missing = invoke("publish", "x.keras", "--name", "mine", "--sample", "nowhere.json")

        assert missing.exit_code == 2
        assert "'nowhere.json' does not exist" in missing.stderr

    def test_the_samples_are_read_before_a_function_trains_for_hours(self, invoke, tmp_path):
        (tmp_path / "empty.json").touch()
        failed = invoke("publish", "no_such_module:make", "--name", "mine", "--sample", "empty.json")

        assert str(failed.exception).startswith("empty.json: an empty file")

    def test_the_help_documents_samples(self, invoke):
        told = " ".join(invoke("publish", "--help").stdout.split())

        assert "--sample FILE Requests that the model must answer: a JSON body as :predict takes it" in told


class TestModelsFolder:
    def test_a_folder_that_cannot_be_made_is_named_with_what_to_do(self, run, tmp_path):
        (tmp_path / "file").write_text("in the way")
        for folder in ("file", "file/models"):
            refused = run("build", "half_plus_two", "--models-dir", folder)
            assert (refused.returncode, refused.stdout) == (1, "")
            assert refused.stderr.startswith(f"error: cannot write to {folder}: ")
            assert refused.stderr.endswith("move that file away or choose another folder with --models-dir\n")
            assert refused.stderr.count("\n") == 1
        assert (tmp_path / "file").read_text() == "in the way"

    def test_comes_from_the_environment_unless_given(self, run, models, tmp_path):
        models.rename(tmp_path / "elsewhere")

        assert "half_plus_two" in run("list", MODELS_DIR="elsewhere").stdout
        assert "half_plus_two" in run("list", "--models-dir", "elsewhere", MODELS_DIR="nowhere").stdout


class TestList:
    def test_shows_every_version_newest_first_with_what_became_of_it(self, run, models):
        run("rollback", "half_plus_two")
        (models / "half_plus_two" / "9").mkdir()
        rows = [line.split() for line in run("list").stdout.splitlines()]

        assert rows[0] == ["MODEL", "VERSION", "STATE", "SIZE", "MODIFIED"]
        assert [row[:4] for row in rows[1:]] == [
            ["half_plus_two", "9", "no", "saved_model.pb"],
            ["half_plus_two", "3", "withdrawn", rows[2][3]],
            ["half_plus_two", "2", "in", "service"],
            ["half_plus_two", "1", "in", "service"],
        ]

    def test_gives_the_same_as_json(self, run, models):
        listed = json.loads(run("list", "--json").stdout)

        assert [(entry["model"], entry["version"], entry["state"]) for entry in listed] == [
            ("half_plus_two", number, "in service") for number in (3, 2, 1)
        ]
        files = [path for path in (models / "half_plus_two" / "3").rglob("*") if path.is_file()]
        assert listed[0]["size_bytes"] == sum(path.stat().st_size for path in files)

    def test_an_empty_list_is_no_error_and_makes_no_folder(self, run, tmp_path):
        listed = run("list")

        assert (listed.returncode, listed.stdout) == (0, "")
        assert "no models in models" in listed.stderr
        assert run("list", "--json").stdout == "[]\n"
        assert names(tmp_path) == []


class TestShow:
    def test_shows_the_signatures_of_the_newest_version(self, run, models):
        lines = run("show", "half_plus_two").stdout.splitlines()

        assert lines[0] == "in_service model=half_plus_two version=3 path=models/half_plus_two/3"
        assert [line.split() for line in lines[-2:]] == [
            ["serving_default", "predict", "in", "x", "float", "[-1,1]"],
            ["out", "y", "float", "[-1,1]"],
        ]

    def test_tells_what_was_found_out_about_rows(self, invoke, models):
        shown = invoke("show", "half_plus_two").stdout.splitlines()
        as_json = json.loads(invoke("show", "half_plus_two", "--json").stdout)

        assert "signature serving_default: rows are independent" in shown
        assert as_json["rows"]["serving_default"] == {"independent": True, "text": "rows are independent"}

    def test_a_damaged_finding_is_a_warning(self, invoke, models):
        (models / "half_plus_two" / "3" / "assets.extra" / "row_independence.json").write_text("{")
        shown = invoke("show", "half_plus_two")

        assert (shown.exit_code, shown.stderr.count("warning: "), "Traceback" in shown.stderr) == (0, 1, False)
        assert shown.stdout.splitlines()[-1].split() == ["out", "y", "float", "[-1,1]"]

    def test_gives_a_withdrawn_version_as_json(self, invoke, models):
        invoke("rollback", "half_plus_two")
        shown = json.loads(invoke("show", "half_plus_two/3", "--json").stdout)

        assert (shown["version"], shown["state"]) == (3, "withdrawn")
        assert shown["signatures"]["classify_x_to_y"] == {
            "method": "tensorflow/serving/classify",
            "inputs": {"inputs": {"dtype": "string", "shape": None}},
            "outputs": {"scores": {"dtype": "float", "shape": [-1, 1]}},
        }

    @pytest.mark.parametrize(
        ("model", "reason"),
        [
            ("nope", "nope has no version in service"),
            ("half_plus_two/9", "half_plus_two has no version 9; there are: 3, 2, 1"),
            ("half_plus_two/x", "half_plus_two has no version x"),
            ("../half_plus_two", "cannot name a model"),
        ],
    )
    def test_what_is_not_there_exits_with_1_and_one_line(self, run, models, model, reason):
        refused = run("show", model)

        assert (refused.returncode, refused.stdout) == (1, "")
        assert reason in refused.stderr
        assert refused.stderr.count("\n") == 1


class TestRollout:
    def test_prune_says_what_it_deletes_and_only_says_it_when_dry(self, run, models):
        gone = "model=half_plus_two version=1 path=models/half_plus_two/1\n"

        assert run("prune", "half_plus_two", "--keep", "2", "--dry-run").stdout == f"would_delete {gone}"
        assert names(models / "half_plus_two") == [".last-version", "1", "2", "3"]
        assert run("prune", "half_plus_two", "--keep", "2").stdout == f"deleted {gone}"
        assert names(models / "half_plus_two") == [".last-version", "2", "3"]
        assert run("prune", "half_plus_two", "--keep", "2").stderr == "nothing to delete\n"

    @pytest.mark.parametrize("keep", ["0", "-1", "all"])
    def test_prune_never_keeps_less_than_one(self, run, models, keep):
        assert run("prune", "half_plus_two", "--keep", keep).returncode == 2
        assert names(models / "half_plus_two") == [".last-version", "1", "2", "3"]

    def test_rollback_and_restore_go_one_version_back_and_forth(self, run, models):
        assert run("rollback", "half_plus_two").stdout.splitlines() == [
            "withdrawn model=half_plus_two version=3 path=models/half_plus_two/.withdrawn-3",
            "newest model=half_plus_two version=2 path=models/half_plus_two/2",
        ]
        restored = run("restore", "half_plus_two")
        assert restored.stdout == "restored model=half_plus_two version=3 path=models/half_plus_two/3\n"
        assert names(models / "half_plus_two") == [".last-version", "1", "2", "3"]

    def test_restoring_an_older_version_warns_that_a_newer_one_serves(self, run, models):
        run("rollback", "half_plus_two")
        publish(models / "half_plus_two", lambda folder: None)

        assert "version 4 is newer" in run("restore", "half_plus_two", "3").stderr

    def test_the_only_version_stays_unless_forced(self, run, models):
        run("prune", "half_plus_two", "--keep", "1")
        refused = run("rollback", "half_plus_two")

        assert refused.returncode == 1
        assert "the only one" in refused.stderr
        assert run("rollback", "half_plus_two", "--force").returncode == 0

    @pytest.mark.parametrize("arguments", [["rollback", "nope"], ["restore", "nope"], ["prune", "nope", "--keep", "1"]])
    def test_an_unknown_model_exits_with_1_and_one_line(self, run, tmp_path, arguments):
        refused = run(*arguments)

        assert refused.returncode == 1
        assert refused.stderr.startswith("error: no model nope in models")
        assert refused.stderr.count("\n") == 1
        assert names(tmp_path) == []


def test_errors_and_warnings_stay_on_one_line(capsys):
    console.fail("input a\nb\x1b[2J: \u2028 größe")
    console.warn("a\r\nb")

    assert capsys.readouterr().err == "error: input a\\nb\\x1b[2J: \\u2028 größe\nwarning: a\\r\\nb\n"
