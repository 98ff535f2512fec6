"""A real redis-server on a loopback port, which a test kills, stops and starts again."""

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.waiting import free_port, wait_for


class RedisServer:
    """Keeps nothing on disk: a Redis that starts again is empty."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self.url = self.database(0)
        self._process: subprocess.Popen[bytes] | None = None

    def database(self, number: int) -> str:
        """The URL of one of its sixteen databases, none of which knows of the others."""
        return f"redis://127.0.0.1:{self.port}/{number}"

    def start(self) -> None:
        binary = shutil.which("redis-server")
        if binary is None:
            pytest.fail("redis-server is not installed, and these tests need it: apt-get install redis-server")
        options = {"port": str(self.port), "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": str(self._folder)}
        command = [binary, *(word for name, value in options.items() for word in (f"--{name}", value))]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_for(self._answers)

    def kill(self) -> None:
        """As a crash does: nothing is said to the clients."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def hang(self) -> None:
        """Connections stay open, and are accepted; nothing is answered."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16) == b"+PONG\r\n"
        except OSError:
            return False
