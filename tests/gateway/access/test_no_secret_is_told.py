"""Nothing that is written anywhere holds a secret, or a part of one: no log, no error, no traceback, no repr, no file."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

PROGRAM = '''
import os, sys, traceback
from pathlib import Path
from click.testing import CliRunner
from gateway.access import commands, key_file, key_text
from gateway.access.authenticator import Authenticator
from gateway.access.key_set import KeySet
from gateway.errors import GatewayError
from gateway.telemetry import logs
from gateway.telemetry.logs import logger
from tests.gateway.access.made_keys import check_limits

logs.configure("DEBUG")
log = logger("test")
path = Path(sys.argv[1])
secrets = open(sys.argv[2], "w")


def run(*arguments):
    """Runs a command, tells all that it prints but the key, and gives the key."""
    done = CliRunner().invoke(commands.keys(check_limits), [*arguments, "--file", str(path)])
    print(done.stderr, done.exception, *(traceback.format_exception(*done.exc_info) if done.exc_info else ()))
    text = done.stdout.strip() if done.stdout.startswith("sgk_") else ""
    if text:
        print(text, file=secrets)
    else:
        print(done.stdout)
    return text


def tell(work):
    """Does the work, and tells everything about the error that it ends with."""
    try:
        told = work()
        print(told, repr(told))
        log.info("done", told=told)
    except Exception as error:
        print(error, repr(error), vars(error), traceback.format_exc(), getattr(error, "headers", ""))
        log.exception("failed", error=error)
        log.warning("failed", error=str(error), shown=repr(error))


keys = KeySet(path, check_limits, settle_s=0)
keys.start()
check = Authenticator(keys.find, keys.note_use)
mobile, late, off = run("new", "mobile", "--models", "digits*"), run("new", "late", "--expires", "1s"), run("new", "off")
run("disable", "off")
rotated = run("rotate", "mobile")
unknown, other = key_text.new(), key_text.new()
print(unknown, repr(unknown), [unknown], {"key": other})
log.info("made", key=unknown)
for new in (unknown, other):
    print(new.text, file=secrets)
wrong = mobile[:13] + unknown.text[13:43]
wrong += key_text.checksum(wrong)
print(wrong, file=secrets)
keys.look()
for text in (mobile, late, off, rotated, unknown.text, wrong, mobile[:-1], mobile + "x", mobile.swapcase()):
    for headers in ({"authorization": f"Bearer {text}"}, {"x-api-key": text}, {"authorization": text},
                    {"authorization": f"Basic {text}"}, {"x-api-key": f"{text}, {text}"},
                    {"x-api-key": text, "authorization": f"Bearer {other.text}"}):
        tell(lambda: check.identify(headers, ""))
    tell(lambda: check.identify({}, f"key={text}"))
    tell(lambda: keys.find(text))
    tell(lambda: keys.find(text[4:12]))
    tell(lambda: keys.find(mobile[4:12]).require("admin"))
    tell(lambda: keys.find(mobile[4:12]).require("predict", text))
    for command in (("new", text), ("rotate", text), ("disable", text), ("new", "x", "--scope", text),
                    ("new", "x", "--models", f"{text} "), ("new", "x", "--limit", text), ("new", "x", "--expires", text),
                    ("rotate", "mobile", "--overlap", text), ("list", "--json"), ("list",)):
        run(*command)
tell(lambda: (keys, check, vars(keys), vars(check)))
good = path.read_bytes()
for member in (b"name", b"id", b"sha256", b"limits", b"created", b"more"):
    path.write_bytes(good + b'{"' + member + b'": "' + mobile.encode() + b'", "' + rotated.encode() + b'": 1}\\n')
    keys.look()
    tell(lambda: key_file.read(path, check_limits))
    tell(lambda: key_file.check_at_start(path, check_limits))
path.write_bytes(good)
keys.close()
logs.flush()
'''


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> tuple[str, list[str]]:
    """All that the program wrote, to its output, its log and its files, and the secrets that it had."""
    folder = tmp_path_factory.mktemp("keys")
    secrets = tmp_path_factory.mktemp("secrets") / "secrets"
    command = [sys.executable, "-c", PROGRAM, str(folder / "keys.jsonl"), str(secrets)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    files = [path.read_text() for path in sorted(folder.iterdir())]
    assert done.returncode == 0, done.stderr[-2000:]
    return "\n".join([done.stdout, done.stderr, *files]), [text[13:43] for text in secrets.read_text().splitlines()]


def test_all_kinds_of_text_were_written(written):
    text, secrets = written
    assert len(secrets) >= 7
    for part in (
        "Traceback (most recent call last)",
        '"event":"failed"',
        '"event":"keys.unreadable"',
        "the key is unknown",
        "the key is malformed",
        "the key off is disabled",
        "two different keys",
        "count it as lost",
        "has no scope",
        "may not use the model",
        "is not shown again",
        "there is no key",
        "Key(",
        "NewKey(",
        '"sha256":"',
    ):
        assert part in text, part


def test_no_secret_is_in_it_nor_a_part_of_one(written):
    text, secrets = written
    for secret in secrets:
        parts = {secret[start : start + 8] for start in range(len(secret) - 7)}
        found = next((text.index(part) for part in parts if part in text), None)
        assert found is None, text[found - 200 : found + 60]
