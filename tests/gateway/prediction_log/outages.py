"""Ways in which a sink fails while it is used, and comes back. Each is a real one."""

import os
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.postgres import PASSWORD, Postgres, postgres

_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class Outage:
    """A sink at ``address``, which fails from ``begin`` on until ``end``."""

    address: str
    begin: Callable[[], object]
    end: Callable[[], object]


@contextmanager
def sqlite_locked(folder: Path) -> Iterator[Outage]:
    """Another process holds the lock of the database file."""
    others: list[subprocess.Popen[bytes]] = []

    def begin():
        others.append(
            subprocess.Popen([sys.executable, "-c", _LOCK, folder / "log.db"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        )
        assert others[0].stdout.readline() == b"locked\n"

    def end():
        others[0].communicate()

    yield Outage(f"sqlite:///{folder}/log.db", begin, end)


@contextmanager
def sqlite_not_a_database(folder: Path) -> Iterator[Outage]:
    """The file is something else from the start, and is then taken away."""
    path = folder / "log.db"
    path.write_bytes(b"this is no database, but a text that is long enough to look like one" * 100)
    yield Outage(f"sqlite:///{path}", lambda: None, path.unlink)


@contextmanager
def sqlite_disk_full(folder: Path) -> Iterator[Outage]:
    with _small_disk(folder) as (disk, fill, free):
        yield Outage(f"sqlite:///{disk}/log.db", fill, free)


@contextmanager
def files_disk_full(folder: Path) -> Iterator[Outage]:
    with _small_disk(folder) as (disk, fill, free):
        yield Outage(f"file://{disk}/log", fill, free)


@contextmanager
def files_folder_replaced(folder: Path) -> Iterator[Outage]:
    """Where the folder was there is a file."""
    path, aside = folder / "log", folder / "aside"

    def begin():
        path.rename(aside)
        path.write_text("no folder")

    def end():
        path.unlink()
        aside.rename(path)

    yield Outage(f"file://{path}", begin, end)


@contextmanager
def postgres_stopped(folder: Path) -> Iterator[Outage]:
    with postgres() as server:
        yield Outage(server.address(), server.stop, server.start)


@contextmanager
def postgres_hangs(folder: Path) -> Iterator[Outage]:
    """The server's processes are suspended: connections stand, and nothing answers."""
    with postgres() as server:
        yield Outage(server.address(), server.suspend, server.resume)


@contextmanager
def postgres_black_hole(folder: Path) -> Iterator[Outage]:
    """In the server's place there is a listener that accepts connections and never answers."""
    with postgres() as server, ExitStack() as hole:

        def begin():
            server.stop()
            hole.enter_context(black_hole(server.port))

        def end():
            hole.close()
            server.start()

        yield Outage(server.address(), begin, end)


@contextmanager
def postgres_disk_full(folder: Path) -> Iterator[Outage]:
    with postgres() as server:
        yield Outage(server.address(), lambda: server.limit_files(2**20), lambda: server.limit_files(2**40))


@contextmanager
def postgres_wrong_password(folder: Path) -> Iterator[Outage]:
    """The password was changed, and so every new connection is refused."""
    with postgres() as server:

        def begin():
            server.execute("ALTER ROLE postgres PASSWORD 'another'")
            _end_connections(server)

        yield Outage(server.address(), begin, lambda: server.execute(f"ALTER ROLE postgres PASSWORD '{PASSWORD}'"))


@contextmanager
def postgres_table_locked(folder: Path) -> Iterator[Outage]:
    """Another session holds the table for itself."""
    with postgres() as server, ExitStack() as other:

        def begin():
            other.enter_context(server.locked("predictions"))

        yield Outage(server.address(), begin, other.close)


OUTAGES = (
    sqlite_locked,
    sqlite_not_a_database,
    sqlite_disk_full,
    files_disk_full,
    files_folder_replaced,
    postgres_stopped,
    postgres_hangs,
    postgres_black_hole,
    postgres_disk_full,
    postgres_wrong_password,
    postgres_table_locked,
)


def _end_connections(server: Postgres) -> None:
    server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'serving-gateway'")


@contextmanager
def black_hole(port: int) -> Iterator[None]:
    accepted: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", port)) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    accepted.append(listener.accept()[0])

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for one in accepted:
                one.close()


@contextmanager
def _small_disk(folder: Path) -> Iterator[tuple[Path, Callable[[], object], Callable[[], object]]]:
    """A folder, what makes its disk full, and what gives room again. For others than root, files cannot grow instead."""
    disk = folder / "disk"
    disk.mkdir()
    if os.geteuid() != 0:
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        try:
            yield (
                disk,
                lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, most)),
                lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
            )
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", disk], check=True)
    ballast = disk / "ballast"

    def fill() -> None:
        with open(ballast, "ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(2**20))

    try:
        yield disk, fill, ballast.unlink
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
