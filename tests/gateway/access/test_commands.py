"""``python -m gateway keys`` from the outside: what it prints where, what it writes, and how it exits."""

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.access import commands, key_text, last_use
from gateway.access.key_file import read
from gateway.access.limits.limit import parse_limits
from tests.gateway.access.made_keys import check_limits, make_key, write

ROOT = Path(__file__).resolve().parents[3]
A_KEY = re.compile(r"sgk_\w{45}\n")
PROGRAM = "from gateway.access import commands; from tests.gateway.access.made_keys import *; commands.keys(check_limits)()"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys.jsonl"


@pytest.fixture
def run(path):
    def run(*arguments: str, **environment: str):
        return CliRunner(env={"GATEWAY_KEYS_FILE": str(path)} | environment).invoke(commands.keys(check_limits), arguments)

    return run


def only_key(path):
    (key,) = read(path, check_limits)
    return key


class TestNew:
    def test_prints_the_key_alone_and_the_words_apart(self, run, path):
        made = run("new", "mobile")
        assert made.exit_code == 0
        assert A_KEY.fullmatch(made.stdout)
        key = only_key(path)
        assert key.sha256 == key_text.sha256_of(made.stdout.strip())
        assert made.stderr == (
            f"the key mobile ({key.id}) has the scopes predict, metadata for the models *, no limits, and does not expire;"
            " it is not shown again:\n"
        )

    def test_writes_what_the_key_may_do(self, run, path):
        options = ("--scope", "predict, admin", "--models", "digits*,dense", "--limit", "600/min", "--expires", "90d")
        made = run("new", "mobile", *options)
        key = only_key(path)
        assert (key.name, key.scopes, key.models) == ("mobile", ("predict", "admin"), ("digits*", "dense"))
        assert (key.limits, key.disabled) == ("600/min", False)
        assert key.expires - key.created == timedelta(days=90)
        assert timedelta(0) <= datetime.now(UTC) - key.created < timedelta(minutes=1)
        assert f"limits 600/min, and expires at {key.expires:%Y-%m-%d %H:%MZ}" in made.stderr

    def test_options_that_come_twice_are_added(self, path):
        twice = (
            "--scope",
            "predict",
            "--scope",
            "admin",
            "--models",
            "a",
            "--models",
            "b,c",
            "--limit",
            "9/s",
            "--limit",
            "9/h",
        )
        CliRunner(env={"GATEWAY_KEYS_FILE": str(path)}).invoke(commands.keys(parse_limits), ("new", "mobile", *twice))
        (key,) = read(path, parse_limits)
        assert (key.scopes, key.models, key.limits) == (("predict", "admin"), ("a", "b", "c"), "9/s; 9/h")

    def test_the_file_holds_no_secret_and_is_its_owners(self, run, path):
        made = run("new", "mobile")
        assert made.stdout[13:-1] not in path.read_text()
        assert path.stat().st_mode & 0o777 == 0o600

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((), "Missing argument 'NAME'"),
            (("-x",), "No such option"),
            (("a b",), "name: expected 1 to 64 letters"),
            (("gateway",), "name: expected another name: the history of rollouts calls the gateway itself so"),
            (("a", "--scope", "predict,predct"), "some of predict, metadata, admin, metrics, got 'predct'"),
            (("a", "--scope", ""), "scopes: expected some of"),
            (("a", "--models", "a b"), "models: expected names of models or patterns"),
            (("a", "--limit", "many"), "limits: expected such as 100/day, got 'many'"),
            (
                ("a", "--expires", "soon"),
                "expected a number with s, m, h or d behind it, such as 24h, from 1s to 36500d, got 'soon'",
            ),
            (("a", "--expires", "99999999d"), "from 1s to 36500d, got '99999999d'"),
            (("a", "--expires", "9" * 99 + "d"), "from 1s to 36500d, got '99"),
            (("a", "--expires", "1d", "--expires", "2d"), "Invalid value for '--expires': expected it once"),
            (("a", "--expires", "-1d"), "expected a number with s, m, h or d"),
            (("a", "--expires", "0d"), "from 1s to 36500d, got '0d'"),
        ],
    )
    def test_a_wrong_command_line_is_told_and_makes_no_file(self, run, path, arguments, message):
        refused = run("new", *arguments)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert message in refused.stderr
        assert not path.exists()

    def test_a_name_that_has_a_key_gets_no_other(self, run, path):
        run("new", "mobile")
        before = path.read_bytes()
        refused = run("new", "mobile")
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert refused.stderr == "Error: there is a key mobile already; `keys rotate mobile` gives it a new secret\n"
        assert path.read_bytes() == before


class TestRotate:
    def test_prints_a_second_key_that_may_do_the_same(self, run, path):
        first = run("new", "mobile", "--models", "digits*", "--limit", "5/min").stdout
        rotated = run("rotate", "mobile", "--overlap", "2h")
        assert A_KEY.fullmatch(rotated.stdout)
        assert rotated.stdout != first
        old, new = read(path, check_limits)
        assert [key_text.sha256_of(text.strip()) for text in (first, rotated.stdout)] == [old.sha256, new.sha256]
        assert (new.name, new.models, new.limits, new.expires) == (old.name, old.models, old.limits, None)
        assert old.expires - new.created == timedelta(hours=2)
        assert f"other keys of mobile expire at {old.expires:%Y-%m-%d %H:%MZ} or sooner\n" in rotated.stderr

    def test_leaves_the_old_key_for_a_day_unless_told_otherwise(self, run, path):
        run("new", "mobile")
        run("rotate", "mobile")
        old, new = read(path, check_limits)
        assert old.expires - new.created == timedelta(hours=24)

    def test_without_overlap_the_old_key_ends_now(self, run, path):
        run("new", "mobile")
        run("rotate", "mobile", "--overlap", "0s")
        old, new = read(path, check_limits)
        assert old.expires == new.created

    @pytest.mark.parametrize("overlap", [("--overlap", "1000000d"), ("--overlap", "1h", "--overlap", "2h")])
    def test_an_overlap_that_is_too_long_or_comes_twice_is_refused(self, run, path, overlap):
        run("new", "mobile")
        refused = run("rotate", "mobile", *overlap)
        assert refused.exit_code == 2
        assert "Invalid value for '--overlap': expected " in refused.stderr
        assert len(read(path, check_limits)) == 1

    def test_an_unknown_name_is_told_with_those_there_are(self, run):
        run("new", "mobile")
        refused = run("rotate", "mobil")
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert refused.stderr == "Error: there is no key mobil; there are: mobile; `keys new mobil` makes one\n"

    def test_a_key_that_was_given_for_a_name_is_not_shown(self, run):
        text = run("new", "mobile").stdout.strip()
        refused = run("rotate", text)
        assert text[13:] not in refused.output
        assert f"there is no key {text[:12]}..." in refused.stderr


class TestDisable:
    def test_disables_every_key_of_the_name(self, run, path):
        run("new", "other")
        run("new", "mobile")
        run("rotate", "mobile")
        done = run("disable", "mobile")
        keys = read(path, check_limits)
        assert [key.disabled for key in keys] == [False, True, True]
        assert (done.exit_code, done.stdout) == (0, "")
        assert done.stderr == f"disabled mobile: {keys[1].id}, {keys[2].id}\n"
        assert run("disable", "mobile").exit_code == 0

    def test_the_name_can_have_a_new_key_afterwards(self, run, path):
        run("new", "mobile")
        run("disable", "mobile")
        assert run("rotate", "mobile").exit_code == 1
        assert A_KEY.fullmatch(run("new", "mobile").stdout)
        assert [key.disabled for key in read(path, check_limits)] == [True, False]

    def test_an_unknown_name_is_told(self, run):
        run("new", "mobile")
        refused = run("disable", "other")
        assert (refused.exit_code, refused.stderr) == (1, "Error: there is no key other; there are: mobile\n")


class TestList:
    @pytest.fixture
    def keys(self, path):
        created = datetime(2025, 11, 26, 10, 5, tzinfo=UTC)
        _, mobile = make_key("mobile", created=created, models=("digits*", "dense"), limits="100/day")
        _, late = make_key("late", created=created, expires=created + timedelta(days=1), scopes=("predict", "metrics"))
        _, off = make_key("off", created=created, disabled=True)
        write(path, mobile, late, off)
        uses = last_use.LastUse(last_use.path_beside(path))
        uses.note(mobile.id, created + timedelta(days=2, seconds=7))
        uses.flush()
        return mobile, late, off

    def test_is_a_table_that_people_can_read(self, run, keys):
        listed = run("list")
        mobile, late, off = keys
        assert listed.exit_code == 0
        assert listed.stdout.splitlines() == [
            "NAME    ID        STATE     SCOPES           MODELS         LIMITS   CREATED            EXPIRES"
            "            LAST USED",
            f"mobile  {mobile.id}  live      predict          digits*,dense  100/day  2025-11-26 10:05Z  -"
            "                  2025-11-28 10:05Z",
            f"late    {late.id}  expired   predict,metrics  *              -        2025-11-26 10:05Z  2025-11-27 10:05Z  -",
            f"off     {off.id}  disabled  predict          *              -        2025-11-26 10:05Z  -                  -",
        ]

    def test_is_json_for_programs(self, run, keys):
        listed = json.loads(run("list", "--json").stdout)
        assert [key["state"] for key in listed] == ["live", "expired", "disabled"]
        assert listed[0] == {
            "name": "mobile",
            "id": keys[0].id,
            "state": "live",
            "scopes": ["predict"],
            "models": ["digits*", "dense"],
            "limits": "100/day",
            "created": "2025-11-26T10:05:00Z",
            "expires": None,
            "last_used": "2025-11-28T10:05:00Z",
        }

    def test_holds_no_hash(self, run, keys):
        assert not any(key.sha256 in run("list", *options).stdout for key in keys for options in ((), ("--json",)))

    def test_an_empty_file_is_told(self, run, path):
        write(path)
        listed = run("list")
        assert (listed.exit_code, listed.stdout) == (0, "")
        assert listed.stderr == f"{path} holds no keys: nobody is let in\n"
        assert json.loads(run("list", "--json").stdout) == []


@pytest.mark.parametrize("command", [("list",), ("rotate", "a"), ("disable", "a")])
def test_a_missing_file_is_told_and_not_made(run, path, command):
    refused = run(*command)
    assert refused.exit_code == 2
    assert f"(env var: 'GATEWAY_KEYS_FILE'): File '{path}' does not exist" in refused.stderr
    assert not path.exists()


@pytest.mark.parametrize("command", [("new", "a"), ("list",), ("rotate", "a"), ("disable", "a")])
class TestEveryCommand:
    def test_names_the_setting_when_no_file_is_given(self, run, command):
        refused = run(*command, GATEWAY_KEYS_FILE="")
        assert refused.exit_code == 2
        assert "Missing option '--file' (env var: 'GATEWAY_KEYS_FILE')" in refused.stderr

    def test_takes_a_file_on_the_command_line(self, run, path, command):
        write(path, make_key("a" if command[0] != "new" else "b")[1])
        assert run(*command, "--file", str(path), GATEWAY_KEYS_FILE="/nowhere").exit_code == 0

    def test_tells_a_broken_file_and_leaves_it(self, run, path, command):
        path.touch(0o600)
        path.write_bytes(b'{"id"')
        refused = run(*command)
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert refused.stderr == f"Error: {path}: line 1: Input data was truncated\n"
        assert path.read_bytes() == b'{"id"'

    def test_refuses_a_file_that_others_can_write(self, run, path, command):
        write(path, make_key("a")[1])
        path.chmod(0o666)
        refused = run(*command)
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert "expected a file that only its owner can write" in refused.stderr

    def test_explains_itself(self, run, command):
        told = run(command[0], "--help")
        assert told.exit_code == 0
        assert "GATEWAY_KEYS_FILE" in told.stdout


def start(path: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, *arguments, "--file", str(path)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_commands_at_the_same_time_lose_nothing(path):
    write(path, *(make_key(f"old{number}", created=datetime(2025, 1, 1, tzinfo=UTC))[1] for number in range(4)))
    made = {f"new{number}": start(path, "new", f"new{number}") for number in range(4)}
    rotated = {f"old{number}": start(path, "rotate", f"old{number}") for number in range(2)}
    disabled = {f"old{number}": start(path, "disable", f"old{number}") for number in (2, 3)}
    texts = {name: program.communicate()[0].strip() for name, program in (made | rotated | disabled).items()}
    assert all(program.returncode == 0 for program in (made | rotated | disabled).values())
    keys = read(path, check_limits)
    hashes = {key.sha256 for key in keys}
    assert len(keys) == 4 + 4 + 2
    assert all(key_text.sha256_of(texts[name]) in hashes for name in made | rotated)
    assert {key.name for key in keys if key.disabled} == set(disabled)


def test_of_two_commands_that_make_one_name_one_is_refused(path):
    programs = [start(path, "new", "mobile") for _ in range(3)]
    outputs = [program.communicate() for program in programs]
    assert sorted(program.returncode for program in programs) == [0, 1, 1]
    assert sum(bool(stdout) for stdout, _ in outputs) == 1
    assert only_key(path).name == "mobile"


def test_a_shell_gets_the_key_and_nothing_else(path):
    shell = f'KEY=$("$0" -c "$1" new mobile --file {path} 2>{path}.words); printf "<%s>" "$KEY"'
    printed = subprocess.run(["sh", "-c", shell, sys.executable, PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True)
    assert re.fullmatch(r"<sgk_\w{45}>", printed.stdout)
    assert printed.stderr == ""
    assert printed.stdout[14:-1] not in Path(f"{path}.words").read_text()
