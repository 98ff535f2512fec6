"""A server for the benchmark's own tests: ``python benchmark_server.py PORT WAY``. It predicts the sum of each row, or errs.

Ways: right, wrong (another number), fewer (a row is missing), garbage (no JSON), failing (500), refusing (503 with
Retry-After), unexplained (503 without), slow (right, but one in ten after a second), silent (takes connections, never
answers), recovering (503 three times, then right), moody (503 one time in three), jealous (401 for a request whose id or bearer
token another one had, or that has none). GET tells how many requests had each Authorization.
"""

import json
import sys
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

NUMBERS = count(1)
KNOWN: set[str | None] = {None}
AUTHORIZATIONS: Counter[str | None] = Counter()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        self.answer(200, json.dumps(AUTHORIZATIONS).encode())

    def do_POST(self) -> None:
        own = {self.headers["X-Request-Id"], self.headers["Authorization"]}
        is_repeated = len(own - KNOWN) < 2
        KNOWN.update(own)
        AUTHORIZATIONS[self.headers["Authorization"]] += 1
        rows = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["instances"]
        way = self.server.way
        if way == "silent":
            time.sleep(60)
        if way == "slow" and next(NUMBERS) % 10 == 0:
            time.sleep(1)
        sums = [sum(row) + (1 if way == "wrong" else 0) for row in rows][: -1 if way == "fewer" else None]
        body = b"sorry" if way == "garbage" else json.dumps({"predictions": sums}).encode()
        if (way == "recovering" and next(NUMBERS) <= 3) or (way == "moody" and next(NUMBERS) % 3 == 0):
            way = "refusing"
        if way == "jealous" and is_repeated:
            way = "unauthorized"
        status = {"failing": 500, "unauthorized": 401, "refusing": 503, "unexplained": 503}.get(way, 200)
        self.answer(status, body, {"Retry-After": "1"} if way == "refusing" else {})

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ((headers or {}) | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *arguments: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    way = sys.argv[2]


if __name__ == "__main__":
    Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
