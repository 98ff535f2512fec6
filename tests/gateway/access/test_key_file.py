"""The key file: what is read from it, what is refused, and that a change never harms it."""

import errno
import fcntl
import os

import msgspec
import pytest
from structlog.testing import capture_logs

from gateway.access.key_file import KeyFileError, change, check_at_start, read
from tests.gateway.access.made_keys import NOW, check_limits, make_key, write


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys.jsonl"


def line(**changes: object) -> bytes:
    """A line with some members changed; a member that is ... is left out."""
    members = msgspec.to_builtins(make_key()[1]) | changes
    return msgspec.json.encode({name: value for name, value in members.items() if value is not ...})


def test_keys_are_read_as_they_were_written(path):
    keys = (
        make_key()[1],
        make_key("all", scopes=("admin", "predict"), models=("a*", "b"), limits="5/min", expires=NOW, disabled=True)[1],
    )
    assert change(path, check_limits, lambda old: (*old, *keys)) == keys
    assert read(path, check_limits) == keys
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_line_says_what_each_member_is(path):
    text, key = make_key(expires=NOW)
    write(path, key)
    assert msgspec.json.decode(path.read_bytes()) == {
        "id": text[4:12],
        "name": "mobile",
        "sha256": key.sha256,
        "scopes": ["predict"],
        "models": ["*"],
        "limits": "",
        "created": "2030-01-01T03:04:05Z",
        "expires": "2030-01-02T03:04:05Z",
        "disabled": False,
    }


def test_what_a_line_need_not_say(path):
    path.touch(0o600)
    path.write_bytes(line(limits=..., expires=..., disabled=...))
    (key,) = read(path, check_limits)
    assert (key.limits, key.expires, key.disabled) == ("", None, False)


@pytest.mark.parametrize("content", [b"", b"\n", b"\n  \r\n\n"])
def test_an_empty_file_has_no_keys(path, content):
    path.touch(0o600)
    path.write_bytes(content)
    assert read(path, check_limits) == ()


def test_a_missing_file_has_no_keys(path):
    assert read(path, check_limits) == ()


BROKEN = {
    "no JSON": (b"mobile:secret", "JSON is malformed"),
    "half a line": (line()[:-20], "truncated"),
    "two lines in one": (line() + line(), "trailing characters"),
    "no object": (b"[]", "Expected `object`, got `array`"),
    "no UTF-8": (line(name="x").replace(b'"x"', b'"\xff"'), "utf-8"),
    "no member id": (line(id=...), "missing required field `id`"),
    "no member scopes": (line(scopes=...), "missing required field `scopes`"),
    "no member models": (line(models=...), "missing required field `models`"),
    "a mistyped member": (line(disbled=True), "unknown field `disbled`"),
    "an id that is none": (line(id="short"), r"at `\$.id`"),
    "a hash that is none": (line(sha256="AB" * 32), r"at `\$.sha256`"),
    "a text for a list": (line(scopes="predict"), r"Expected `array`, got `str` - at `\$.scopes`"),
    "a number for a flag": (line(disabled=1), r"Expected `bool`, got `int` - at `\$.disabled`"),
    "a time without its zone": (line(expires="2030-01-01T00:00:00"), r"at `\$.expires`"),
    "no time": (line(expires="tomorrow"), r"at `\$.expires`"),
    "an unknown scope": (line(scopes=["predct"]), "expected some of predict, metadata, admin, metrics, got 'predct'"),
    "a bad limit": (line(limits="many"), "limits: expected such as 100/day, got 'many'"),
}


@pytest.mark.parametrize(("broken", "why"), BROKEN.values(), ids=BROKEN)
def test_a_broken_line_is_told_with_its_number_and_what_is_wrong(path, broken, why):
    path.touch(0o600)
    path.write_bytes(line() + b"\n\n" + broken + b"\n")
    with pytest.raises(KeyFileError, match=f"^{path}: line 3: .*{why}"):
        read(path, check_limits)


def test_an_id_that_comes_twice_is_refused(path):
    _, key = make_key()
    write(path, key, make_key()[1], key)
    with pytest.raises(KeyFileError, match=f"line 3: an earlier line has the id {key.id} too"):
        read(path, check_limits)


@pytest.mark.parametrize("member", ["id", "name", "sha256", "scopes", "models", "limits", "created", "a member of its name"])
def test_a_key_that_stands_in_a_wrong_place_is_not_shown(path, member):
    text, _ = make_key()
    path.touch(0o600)
    path.write_bytes(line(**({text: 1} if member.startswith("a ") else {member: [text] if member == "scopes" else text})))
    if member == "models":
        path.write_bytes(line(models=[text + " "]))
    with pytest.raises(KeyFileError) as refused:
        read(path, check_limits)
    assert text[13:] not in str(refused.value)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666, 0o660])
def test_a_file_that_others_can_write_is_refused(path, mode):
    write(path, make_key()[1])
    path.chmod(mode)
    before = path.read_bytes()
    for refused in (
        lambda: read(path, check_limits),
        lambda: check_at_start(path, check_limits),
        lambda: change(path, check_limits, lambda keys: ()),
    ):
        with pytest.raises(
            KeyFileError, match=rf"^{path}: expected a file that only its owner can write.*try chmod go-w {path}"
        ):
            refused()
    assert path.read_bytes() == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o444])
def test_a_file_that_others_can_read_is_warned_of_at_the_start_only(path, mode):
    write(path, make_key()[1])
    path.chmod(mode)
    with capture_logs() as events:
        check_at_start(path, check_limits)
        read(path, check_limits)
    assert [(event["event"], event["log_level"]) for event in events] == [("keys.readable_by_others", "warning")]


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_good_file_is_not_talked_of(path, mode):
    write(path, make_key()[1])
    path.chmod(mode)
    with capture_logs() as events:
        check_at_start(path, check_limits)
    assert events == []


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        (None, "there is no such file"),
        ((), "the file holds no keys"),
        (({"disabled": True}, {"expires": NOW.replace(year=2020)}), "each key has expired or is disabled"),
    ],
)
def test_a_start_that_lets_nobody_in_is_warned_of_with_the_reason(path, keys, reason):
    if keys is not None:
        write(path, *(make_key(**changes)[1] for changes in keys))
    with capture_logs() as events:
        check_at_start(path, check_limits)
    told = [(event["event"], event["keys"], event["reason"]) for event in events]
    assert told == [("keys.nobody_is_let_in", len(keys or ()), reason)]


def test_a_folder_is_no_key_file(path):
    path.mkdir()
    with pytest.raises(KeyFileError, match="Is a directory"):
        read(path, check_limits)


def test_a_pipe_is_no_key_file_and_is_not_waited_for(path):
    os.mkfifo(path, 0o600)
    for refused in (lambda: read(path, check_limits), lambda: change(path, check_limits, lambda keys: keys)):
        with pytest.raises(KeyFileError, match=f"^{path}: expected a regular file, got prw-------$"):
            refused()


def test_a_file_that_cannot_be_read_is_told(path):
    (path.parent / "loop").symlink_to("loop")
    with pytest.raises(KeyFileError, match="Too many levels of symbolic links"):
        read(path.parent / "loop", check_limits)


def test_a_broken_file_is_not_changed(path):
    write(path, make_key()[1])
    with path.open("ab") as file:
        file.write(b"{")
    before = path.read_bytes()
    with pytest.raises(KeyFileError, match="line 2: Input data was truncated"):
        change(path, check_limits, lambda keys: keys)
    assert path.read_bytes() == before


def test_what_could_not_be_read_again_is_not_written(path):
    _, key = make_key()
    change(path, check_limits, lambda keys: (key,))
    with pytest.raises(KeyFileError, match="an earlier line has the id"):
        change(path, check_limits, lambda keys: (*keys, key))
    assert read(path, check_limits) == (key,)


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(KeyFileError, match="it cannot be changed: No such file or directory"):
        change(tmp_path / "none" / "keys", check_limits, lambda keys: keys)


def test_another_change_that_takes_too_long_is_told(path):
    write(path)
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(KeyFileError, match=f"^{path}: another process is changing it"):
            change(path, check_limits, lambda keys: keys, patience_s=0)


def test_a_file_mounted_by_itself_is_told_with_what_to_do(tmp_path):
    """As ``docker run -v ./keys.jsonl:/keys.jsonl`` does. No test may mount, so the system's error is made here."""

    def busy(keys):
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    with pytest.raises(KeyFileError, match="Device or resource busy: it is mounted by itself; mount its folder instead"):
        change(tmp_path / "keys", check_limits, busy)
