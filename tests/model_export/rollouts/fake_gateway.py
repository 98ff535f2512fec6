"""A small HTTP server that answers as a gateway's /admin/rollouts does, and keeps what it was asked."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

KEY = "sg_admin_0123456789"
PINNED = {"model": "m", "versions": [1], "confirmed": True, "servers": {"127.0.0.1:8500": ""}}


def plan(state: str = "running", canary: int = 2, **others: Any) -> dict[str, Any]:
    """A rollout of the model ``m`` as a gateway tells it; the fields that nobody here reads are left out."""
    ended = state in ("done", "rolled_back", "aborted", "refused")
    known = {"model": "m", "id": "m-2-f4a1", "state": state, "stable": 1, "canary": canary, "is_ended": ended}
    return known | {"is_open": state != "refused", "reason": ""} | others


class FakeGateway:
    """Answers ``(method, path)`` by ``answers``: a status with a body, or a list of them that is used up but for its last."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[tuple[str, str, Any]] = []
        self.keys: set[str | None] = set()
        self.answers: dict[tuple[str, str], Any] = {
            ("GET", "/admin/rollouts"): (200, {"rollouts": []}),
            ("POST", "/admin/rollouts/m/pin"): (200, PINNED),
            ("POST", "/admin/rollouts/m"): (201, plan("draft")),
        }

    def runs(self, *standings: dict[str, Any]) -> None:
        """Tell of these rollouts of one model, one after the other."""
        self.answers["GET", "/admin/rollouts"] = [(200, {"rollouts": [standing]}) for standing in standings]

    def refuses(self, method: str, path: str, status: int, message: str) -> None:
        self.answers[method, path] = (status, {"ok": False, "status": "error", "error": "NO", "message": message})

    def calls(self) -> list[str]:
        return [f"{method} {path}" for method, path, _ in self.asked]

    def answer(self, method: str, path: str, body: Any, key: str | None) -> tuple[int, Any]:
        self.asked.append((method, path, body))
        self.keys.add(key)
        found = self.answers.get((method, path), (404, {"message": "not found"}))
        if isinstance(found, list):
            return found.pop(0) if len(found) > 1 else found[0]
        return found() if callable(found) else found


@contextmanager
def fake_gateway() -> Iterator[FakeGateway]:
    """One on a free port of the loopback interface."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            status, content = gateway.answer(self.command, self.path, body, self.headers.get("Authorization"))
            sent = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(sent)))
            if 300 <= status < 400:
                self.send_header("Location", f"{gateway.url}/elsewhere")
            self.end_headers()
            self.wfile.write(sent)

        def do_POST(self):
            self.do_GET()

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        gateway = FakeGateway(f"http://127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield gateway
        finally:
            server.shutdown()
            thread.join()
