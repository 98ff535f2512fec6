"""The real nginx by deploy/nginx/entrypoint.sh, on a loopback port, with its files in a temporary folder. Never as root."""

import json
import os
import shutil
import signal
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.gateway.server.http_wire import Wire
from tests.json_lines import documents
from tests.stack.conftest import ROOT
from tests.waiting import free_port, wait_for

ENTRYPOINT = ROOT / "deploy" / "nginx" / "entrypoint.sh"
# What a user who is not root has on Debian.
_WITHOUT_SBIN = ":".join(folder for folder in os.environ["PATH"].split(":") if not folder.endswith("sbin"))
_PROGRAMS = {"nginx": "nginx", "openssl": "openssl", "curl": "curl"}


class Edge:
    """nginx before the gateway on ``upstream_port``. ``settings``: the entrypoint's, in lower case without ``EDGE_``."""

    def __init__(self, folder: Path, upstream_port: int, identity: dict[str, Any], **settings: object) -> None:
        self.folder = folder
        self.port = free_port()
        self.address = f"https://localhost:{self.port}"
        self.tls_dir = folder / "given"
        self.certificate = folder / "self" / "edge-cert.pem"
        self._identity = identity
        self._environment = {
            "PATH": _WITHOUT_SBIN,
            "EDGE_LISTEN": f"127.0.0.1:{self.port}",
            "EDGE_UPSTREAM": f"127.0.0.1:{upstream_port}",
            "EDGE_TLS_DIR": str(self.tls_dir),
            "EDGE_SELF_DIR": str(folder / "self"),
            "EDGE_RUN_DIR": str(folder / "run"),
            "EDGE_ACCESS_LOG": str(folder / "run" / "access.log"),
            "EDGE_WATCH_SECONDS": "0.2",
            **{name if name.isupper() else f"EDGE_{name.upper()}": str(value) for name, value in settings.items()},
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Edge":
        with (self.folder / "errors.log").open("ab") as output:
            self._process = subprocess.Popen(
                [ENTRYPOINT], env=self._environment, stdout=output, stderr=output, start_new_session=True, **self._identity
            )
        wait_for(self._listens_or_has_ended)
        assert self._process.poll() is None, self.errors()
        return self

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(20)
            self._process = None

    def check(self) -> "subprocess.CompletedProcess[str]":
        """``nginx -t`` on the configuration that the entrypoint makes."""
        return subprocess.run(
            [ENTRYPOINT, "check"],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            **self._identity,
        )

    def get(self, path: str, **kwargs: Any) -> requests.Response:
        return self._ask("GET", path, **kwargs)

    def post(self, path: str, document: object, **kwargs: Any) -> requests.Response:
        """``document`` as JSON, or bytes, or an iterator of chunks, as they are."""
        body = json.dumps(document) if isinstance(document, dict) else document
        return self._ask("POST", path, data=body, **kwargs)

    def _ask(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        kwargs.setdefault("verify", str(self.certificate))
        return requests.request(method, self.address + path, timeout=60, **kwargs)

    def wire(self, context: ssl.SSLContext | None = None) -> Wire:
        """A connection over TLS on which any bytes can be sent as HTTP/1.1."""
        wire = Wire(self.port)
        wire.sock = (context or self.context()).wrap_socket(wire.sock, server_hostname="localhost", suppress_ragged_eofs=True)
        return wire

    def curl(self, path: str, *arguments: str) -> tuple[str, int, bytes]:
        """The version of HTTP, the status and the body of what curl gets."""
        command = ["curl", "--silent", "--show-error", "--max-time", "60", "--cacert", str(self.certificate), "--include"]
        done = subprocess.run([*command, *arguments, self.address + path], capture_output=True, check=True, timeout=90)
        head, _, body = done.stdout.rpartition(b"\r\n\r\n")
        version, status = head.rpartition(b"HTTP/")[2].split(None, 2)[:2]
        return version.decode(), int(status), body

    def context(self) -> ssl.SSLContext:
        """What a client needs to trust it."""
        return ssl.create_default_context(cafile=str(self.certificate))

    def requests_logged(self, status: int | None = None) -> list[dict[str, Any]]:
        """The lines of the access log; one that is not JSON fails the test."""
        return [line for line in documents(self.folder / "run" / "access.log") if status in (None, line["status"])]

    def logged(self, request_id: str) -> dict[str, Any]:
        """The line of one request, which is written when its answer has been sent."""
        return wait_for(lambda: next((line for line in self.requests_logged() if line["id"] == request_id), None))

    def errors(self) -> str:
        return (self.folder / "errors.log").read_text()

    def _listens_or_has_ended(self) -> bool:
        assert self._process is not None
        return self._process.poll() is not None or f":{self.port:04X} 00000000:0000 0A" in Path("/proc/net/tcp").read_text()


@contextmanager
def edge_before(upstream_port: int, is_started: bool = True, **settings: object) -> Iterator[Edge]:
    """An nginx of its own, which ends with the block."""
    for program, package in _PROGRAMS.items():
        found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin")
        assert found, f"there is no {program}: install it (Debian: apt-get install {package})"
    identity: dict[str, Any] = {}
    # Not under pytest's folder, which only its own user may enter.
    with tempfile.TemporaryDirectory(prefix="edge-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for part in ("given", "self", "run"):
            (folder / part).mkdir()
        if os.geteuid() == 0:
            for path in (folder, *folder.iterdir()):
                shutil.chown(path, "nobody")
            identity = {"user": "nobody", "group": None, "extra_groups": []}
        edge = Edge(folder, upstream_port, identity, **settings)
        try:
            if is_started:
                edge.start()
            yield edge
        finally:
            edge.stop()
