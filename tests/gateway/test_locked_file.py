"""Changes of one file by several processes: none is lost, none is seen half, and a dead process holds up nobody."""

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from gateway.locked_file import rewrite
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "file"


@pytest.fixture(autouse=True)
def folder(path):
    path.parent.mkdir()
    return path.parent


def python(code: str, *arguments: object) -> subprocess.Popen:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_many_processes_lose_no_change_and_no_reader_sees_a_half(path):
    code = (
        "import sys, pathlib; from gateway.locked_file import rewrite\n"
        "for number in range(20):\n"
        "    line = f'{sys.argv[2]} {number} {\"x\" * 50000}\\n'.encode()\n"
        "    rewrite(pathlib.Path(sys.argv[1]), lambda old: old + line, 60)\n"
    )
    writers = [python(code, path, number) for number in range(4)]
    while any(writer.poll() is None for writer in writers):
        lines = path.read_bytes().splitlines() if path.exists() else []
        assert all(line.endswith(b" " + b"x" * 50000) for line in lines)
    for writer in writers:
        writer.communicate()
    assert [writer.returncode for writer in writers] == [0] * 4
    seen = {tuple(line.split()[:2]) for line in path.read_text().splitlines()}
    assert seen == {(str(writer), str(number)) for writer in range(4) for number in range(20)}
    assert len(path.read_text().splitlines()) == 80


def test_threads_of_one_process_lose_no_change_either(path):
    def add() -> None:
        for _ in range(20):
            rewrite(path, lambda old: old + b"x", 60)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() == b"x" * 80


def test_a_missing_file_is_made_for_its_owner_only(path):
    before = os.umask(0)
    try:
        rewrite(path, lambda old: old + b"a", 1)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes() == b"a"


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o400])
def test_mode_and_owner_stay(path, mode):
    path.write_bytes(b"a")
    owner = 4321 if os.geteuid() == 0 else os.geteuid()
    os.chown(path, owner, -1)
    path.chmod(mode if os.geteuid() == 0 else mode | 0o200)
    before = path.stat()
    rewrite(path, lambda old: old + b"b", 1)
    after = path.stat()
    assert path.read_bytes() == b"ab"
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


@pytest.mark.parametrize(("mode", "expected"), [(0o664, 0o644), (0o640, 0o600)])
def test_an_owner_who_is_not_in_the_files_group_changes_it_and_gives_another_group_no_right(mode, expected):
    """A container's user owns the file and is not in its group. Only root can make such a file."""
    is_root = os.geteuid() == 0
    user, group = (4321, 4322) if is_root else (os.geteuid(), os.getegid())
    code = (
        "import os, sys, pathlib; from gateway.locked_file import rewrite\n"
        "path, user, group = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])\n"
        "if os.geteuid() == 0: os.setgroups([]); os.setgid(group); os.setuid(user)\n"
        "rewrite(path, lambda old: old + b'b', 1)\n"
    )
    # pytest's own folders are for its user alone.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.write_bytes(b"a")
        path.chmod(mode)
        for given in (path, Path(folder)):
            os.chown(given, user, -1)
        writer = python(code, path, user, group)
        writer.communicate()
        after = path.stat()
        assert (writer.returncode, path.read_bytes()) == (0, b"ab")
    assert (after.st_uid, after.st_gid, after.st_mode & 0o777) == (user, group, expected if is_root else mode)


def test_a_symbolic_link_stays_one(path, folder):
    target = folder / "target"
    target.write_bytes(b"a")
    path.symlink_to(target)
    rewrite(path, lambda old: old + b"b", 1)
    assert path.is_symlink()
    assert target.read_bytes() == b"ab"


def test_the_same_content_is_not_written_again(path):
    rewrite(path, lambda old: b"a", 1)
    before = path.stat()
    rewrite(path, lambda old: old, 1)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_change_that_fails_changes_nothing(path, folder):
    path.write_bytes(b"a")
    with pytest.raises(ZeroDivisionError):
        rewrite(path, lambda old: old * (1 // 0), 1)
    assert path.read_bytes() == b"a"
    assert list(folder.iterdir()) == [path]
    rewrite(path, lambda old: b"b", 1)
    assert path.read_bytes() == b"b"


def test_a_rename_that_fails_leaves_no_other_file(path, folder):
    """Here the file has become a folder in the meantime."""
    path.write_bytes(b"a")

    def replaced(old: bytes) -> bytes:
        path.unlink()
        path.mkdir()
        return old + b"b"

    with pytest.raises(IsADirectoryError):
        rewrite(path, replaced, 1)
    assert list(folder.iterdir()) == [path]


def test_a_missing_folder_is_told(path, folder):
    folder.rmdir()
    with pytest.raises(FileNotFoundError):
        rewrite(path, lambda old: old, 1)


def test_a_change_that_waits_too_long_for_another_is_given_up(path):
    path.write_bytes(b"a")
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(TimeoutError, match="another process is changing it"):
            rewrite(path, lambda old: b"b", 0)
    rewrite(path, lambda old: b"b", 0)
    assert path.read_bytes() == b"b"


def test_a_killed_process_holds_up_nobody(path):
    code = (
        "import sys, pathlib, time; from gateway.locked_file import rewrite\n"
        "rewrite(pathlib.Path(sys.argv[1]), lambda old: print('holds', flush=True) or time.sleep(60), 1)\n"
    )
    holder = python(code, path)
    assert holder.stdout.readline() == "holds\n"
    with pytest.raises(TimeoutError):
        rewrite(path, lambda old: b"b", 0)
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    wait_for(lambda: rewrite(path, lambda old: b"b", 0) is None)
    assert path.read_bytes() == b"b"


def test_a_file_that_is_replaced_just_before_it_is_locked_is_opened_again(path, folder):
    path.write_bytes(b"a")
    (folder / "other").write_bytes(b"b")

    def replace_once(frame, event, argument) -> None:
        if event == "c_call" and argument is fcntl.flock:
            sys.setprofile(None)
            (folder / "other").replace(path)

    sys.setprofile(replace_once)
    try:
        rewrite(path, lambda old: old + b"c", 1)
    finally:
        sys.setprofile(None)
    assert path.read_bytes() == b"bc"
