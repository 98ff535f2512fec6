"""The keys that a worker lets in follow their file, whatever becomes of it."""

import os
import resource
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from gateway.access import last_use
from gateway.access.key_file import change
from gateway.access.key_set import KeySet
from tests.gateway.access.made_keys import NOW, check_limits, make_key, write
from tests.waiting import wait_for


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys.jsonl"


@pytest.fixture
def keys(path):
    return KeySet(path, check_limits, settle_s=0)


def events_of(work) -> list[str]:
    with capture_logs() as events:
        work()
    return [event["event"] for event in events]


def test_a_key_that_is_added_changed_or_removed_counts_from_the_next_look(path, keys):
    _, one = make_key("one")
    _, other = make_key("other")
    write(path, one)
    keys.look()
    assert (keys.find(one.id), keys.find(other.id)) == (one, None)
    change(path, check_limits, lambda old: (replace(one, disabled=True), other))
    keys.look()
    assert keys.find(one.id).disabled
    assert keys.find(other.id) == other
    change(path, check_limits, lambda old: (other,))
    keys.look()
    assert (keys.find(one.id), keys.find(other.id)) == (None, other)


def test_a_file_that_has_not_changed_is_not_read_again(path, keys):
    write(path, make_key()[1])
    assert events_of(keys.look) == ["keys.read"]
    assert events_of(keys.look) == []


@pytest.mark.parametrize("how", ["time", "size", "inode"])
def test_each_way_to_change_a_file_is_noticed(path, keys, how):
    _, one = make_key("a")
    _, other = make_key("b" if how != "size" else "bb")
    write(path, one)
    keys.look()
    before = path.stat()
    if how == "inode":
        write(path.parent / "new", other)
        os.utime(path.parent / "new", ns=(before.st_atime_ns, before.st_mtime_ns))
        (path.parent / "new").rename(path)
    else:
        write(path, other)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + (how == "time")))
    keys.look()
    assert (keys.find(one.id), keys.find(other.id)) == (None, other)


def broken(path):
    with path.open("ab") as file:
        file.write(b'{"id": ')


def others_write(path):
    path.chmod(0o666)


def folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("harm", [broken, others_write, folder])
def test_with_a_file_that_is_no_good_the_keys_stay_and_one_line_says_so(path, keys, harm):
    _, key = make_key()
    write(path, key)
    keys.look()
    harm(path)
    assert events_of(lambda: [keys.look() for _ in range(5)]) == ["keys.unreadable"]
    assert keys.find(key.id) == key


@contextmanager
def without_descriptors():
    """Nothing can be opened, as in a process that has used them all up. What a file's status is can still be asked."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_file_that_could_not_be_opened_for_a_moment_is_read_at_the_next_look(path, keys):
    """The key that was disabled meanwhile must not stay valid until the file changes once more."""
    _, key = make_key()
    write(path, key)
    keys.look()
    write(path, replace(key, disabled=True))
    with without_descriptors():
        keys.look()
        assert keys.find(key.id) == key
    keys.look()
    assert keys.find(key.id).disabled


def test_a_file_that_cannot_be_opened_is_told_once_for_each_reason(path, keys):
    write(path, make_key()[1])
    keys.look()
    folder(path)
    with capture_logs() as events:
        for _ in range(3):
            keys.look()
        with without_descriptors():
            for _ in range(3):
                keys.look()
        path.rmdir()
        write(path, make_key()[1])
        keys.look()
        folder(path)
        keys.look()
    told = [event.get("reason", event["event"]).removeprefix(f"{path}: ") for event in events]
    assert told == ["Is a directory", "Too many open files", "keys.read", "Is a directory"]


def disabled(path):
    change(path, check_limits, lambda old: tuple(replace(key, disabled=True) for key in old))


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (os.unlink, "there is no such file"),
        (write, "the file holds no keys"),
        (disabled, "each key has expired or is disabled"),
    ],
)
def test_a_change_that_lets_nobody_in_is_warned_of_once_with_the_reason(path, keys, harm, reason):
    _, key = make_key()
    write(path, key)
    keys.look()
    harm(path)
    with capture_logs() as events:
        for _ in range(5):
            keys.look()
    assert [event["event"] for event in events] == ["keys.read", "keys.nobody_is_let_in"]
    assert (events[0]["live"], events[1]["log_level"], events[1]["reason"]) == (0, "warning", reason)
    assert keys.find(key.id) is None or keys.find(key.id).disabled


def test_the_end_of_the_last_key_is_warned_of_once(path, keys):
    ends = datetime.now(UTC) + timedelta(seconds=1)
    write(path, make_key("soon", expires=ends)[1], make_key("late", expires=NOW.replace(year=2020))[1])
    assert events_of(keys.look) == ["keys.read"]
    wait_for(lambda: datetime.now(UTC) >= ends)
    assert events_of(lambda: [keys.look() for _ in range(5)]) == ["keys.nobody_is_let_in"]


@pytest.mark.parametrize("harm", [broken, others_write])
def test_a_worker_that_starts_with_a_file_that_is_no_good_lets_nobody_in(path, keys, harm):
    _, key = make_key()
    write(path, key)
    harm(path)
    assert events_of(keys.look) == ["keys.unreadable"]
    assert keys.find(key.id) is None


def test_a_file_that_is_mended_counts_again(path, keys):
    _, key = make_key()
    write(path, key)
    keys.look()
    broken(path)
    keys.look()
    _, other = make_key("other")
    write(path, other)
    assert events_of(keys.look) == ["keys.read"]
    assert (keys.find(key.id), keys.find(other.id)) == (None, other)


def test_a_file_whose_mode_is_mended_counts_again(path, keys):
    """``chmod`` changes neither its time nor its size."""
    _, key = make_key()
    write(path, key)
    path.chmod(0o620)
    keys.look()
    assert keys.find(key.id) is None
    path.chmod(0o600)
    keys.look()
    assert keys.find(key.id) == key


def test_the_log_tells_how_many_keys_are_valid(path, keys):
    write(path, make_key()[1], make_key(disabled=True)[1], make_key(expires=NOW.replace(year=2020))[1])
    with capture_logs() as events:
        keys.look()
    assert [(event["keys"], event["live"]) for event in events] == [(3, 1)]


@pytest.fixture
def following(keys):
    keys.start()
    yield keys
    keys.close()


def test_the_file_is_followed_by_a_thread_of_its_own(path, following):
    _, key = make_key()
    write(path, key)
    wait_for(lambda: following.find(key.id))
    path.unlink()
    wait_for(lambda: following.find(key.id) is None)


def test_the_keys_are_known_as_soon_as_it_has_started(path, keys):
    _, key = make_key()
    write(path, key)
    keys.start()
    assert keys.find(key.id) == key
    keys.close()


def test_an_error_that_nobody_foresaw_does_not_end_the_following(path):
    def fails(text: str) -> None:
        if text == "1/s":
            raise ZeroDivisionError
        check_limits(text)

    keys = KeySet(path, fails)
    with capture_logs() as events:
        keys.start()
        write(path, make_key(limits="1/s")[1])
        wait_for(lambda: "keys.look_failed" in [event["event"] for event in events])
        _, key = make_key(limits="2/s")
        write(path, key)
        wait_for(lambda: keys.find(key.id))
        keys.close()


def test_closing_ends_the_thread_and_writes_the_last_uses(path, keys):
    before = threading.active_count()
    keys.start()
    began = datetime.now(UTC)
    keys.note_use("one")
    keys.close()
    assert threading.active_count() == before
    used = last_use.read(last_use.path_beside(path))
    assert list(used) == ["one"]
    assert began.replace(second=0, microsecond=0) <= used["one"] <= datetime.now(UTC)


def test_uses_are_written_while_it_runs(path):
    keys = KeySet(path, check_limits, flush_every_s=0)
    keys.start()
    for name in ("one", "other"):
        keys.note_use(name)
        wait_for(lambda: name in last_use.read(last_use.path_beside(path)))  # noqa: B023 (it is called here)
    keys.close()


def test_a_set_that_was_not_started_can_be_closed(keys):
    keys.close()


def test_a_file_that_was_written_a_moment_ago_is_left_until_it_is_whole(path):
    """A program that writes it in place has emptied it first."""
    _, key = make_key()
    _, other = make_key("other")
    write(path, key)
    keys = KeySet(path, check_limits, settle_s=60)
    keys.look()
    assert keys.find(key.id) == key  # the first look reads it at once
    path.write_bytes(b"")
    keys.look()
    assert keys.find(key.id) == key
    write(path, other)
    keys.look()
    assert keys.find(other.id) is None
    written_ns = time.time_ns() - 61 * 10**9
    os.utime(path, ns=(written_ns, written_ns))
    keys.look()
    assert (keys.find(key.id), keys.find(other.id)) == (None, other)


@pytest.mark.parametrize("shift_s", [-3600, 3600])
def test_a_file_from_a_machine_with_another_time_is_read_at_once(path, shift_s):
    _, key = make_key()
    write(path)
    keys = KeySet(path, check_limits, settle_s=60)
    keys.look()
    write(path, key)
    written_ns = time.time_ns() + shift_s * 10**9
    os.utime(path, ns=(written_ns, written_ns))
    keys.look()
    assert keys.find(key.id) == key


def test_a_file_that_is_gone_is_noticed_at_once(path):
    _, key = make_key()
    write(path, key)
    keys = KeySet(path, check_limits, settle_s=60)
    keys.look()
    path.unlink()
    keys.look()
    assert keys.find(key.id) is None
