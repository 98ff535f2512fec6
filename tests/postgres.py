"""A real PostgreSQL of Debian's package on a loopback port, with its data in a temporary folder. It never runs as root."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

from tests.waiting import free_port, wait_for

PASSWORD = "right-password"  # noqa: S105 - of a server that ends with its test


def program(name: str) -> str:
    found = [*sorted(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))), shutil.which(name) or ""]
    assert any(found), f"there is no {name}: install PostgreSQL (Debian: apt-get install postgresql)"
    return next(filter(None, reversed(found[:-1])), found[-1])


class Postgres:
    """A server whose user ``postgres`` has the password ``PASSWORD``. Its write-ahead log has files of 1 MiB."""

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        self._folder = folder
        self._identity = identity
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        (folder / "password").write_text(PASSWORD)
        command = [program("initdb"), "-D", str(folder / "data"), "-U", "postgres", "--no-sync", "--wal-segsize=1"]
        command += ["--auth-host=scram-sha-256", "--auth-local=trust", f"--pwfile={folder / 'password'}"]
        subprocess.run(command, check=True, capture_output=True, **identity)

    def address(self, password: str = PASSWORD) -> str:
        return f"postgresql://postgres:{password}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        command = [program("postgres"), "-D", str(self._folder / "data"), "-h", "127.0.0.1", "-p", str(self.port)]
        command += ["-k", str(self._folder), "-c", "fsync=off", "-c", "wal_recycle=off"]
        with open(self._folder / "log", "ab") as log:
            self._process = subprocess.Popen(command, stderr=log, stdout=log, cwd=self._folder, **self._identity)
        wait_for(self._answers)

    def stop(self) -> None:
        """End it as ``pg_ctl stop -m immediate`` does: at once, and every connection with it."""
        if self._process is not None:
            self.resume()
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(30)
            self._process = None

    def suspend(self) -> None:
        """Let it hang, with every connection."""
        for pid in self._pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        for pid in self._pids():
            with suppress(ProcessLookupError):  # the process of a connection that has ended meanwhile
                os.kill(pid, signal.SIGCONT)

    def limit_files(self, most_bytes: int) -> None:
        """No file of it may grow beyond so many bytes, as on a full disk."""
        for pid in self._pids():
            command = ["prlimit", f"--pid={pid}", f"--fsize={most_bytes}:"]
            done = subprocess.run(command, check=False, capture_output=True, **self._identity)
            # The process of a connection that was just closed may have ended meanwhile.
            assert done.returncode == 0 or not Path(f"/proc/{pid}").exists(), done.stderr

    def execute(self, statement: str) -> list[Any]:
        """What a statement returns, on a connection that needs no password."""
        with self._connected() as own:
            cursor = own.execute(statement)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def locked(self, table: str) -> Iterator[None]:
        """Nobody else can read or write ``table``."""
        with self._connected() as own, own.transaction():
            own.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            yield

    def _connected(self) -> "psycopg.Connection[Any]":
        return psycopg.connect(f"host={self._folder} port={self.port} user=postgres dbname=postgres", autocommit=True)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "log").read_text()
        try:
            return self.execute("SELECT 1") == [(1,)]
        except psycopg.OperationalError:
            return False

    def _pids(self) -> list[int]:
        assert self._process is not None
        pid = self._process.pid
        return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


@contextmanager
def postgres(is_started: bool = True) -> Iterator[Postgres]:
    """A server of its own, which ends with the block."""
    identity: dict[str, Any] = {}
    # Not under pytest's folder, which only its own user may enter.
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as folder:
        if os.geteuid() == 0:
            users = [line.split(":")[0] for line in Path("/etc/passwd").read_text().splitlines()]
            user = "postgres" if "postgres" in users else "nobody"
            shutil.chown(folder, user)
            identity = {"user": user, "group": None if user == "nobody" else user, "extra_groups": []}
        server = Postgres(Path(folder), identity)
        try:
            if is_started:
                server.start()
            yield server
        finally:
            server.stop()
