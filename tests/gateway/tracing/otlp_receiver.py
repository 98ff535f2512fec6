"""An OTLP/HTTP receiver of the tests' own making: it keeps the spans that it is sent, and may hang, fail or be away."""

import gzip
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Receiver:
    """``status`` answers each request, with ``answer_headers``; while ``release`` is not set, none is answered.

    ``first_statuses`` answer the first ones.
    """

    def __init__(self, *first_statuses: int) -> None:
        self.status = 200
        self.first_statuses = list(first_statuses)
        self.answer_headers: dict[str, str] = {}
        self.release = threading.Event()
        self.release.set()
        self.spans: list[Span] = []
        self.services: set[str] = set()
        self.requests = 0
        self.headers: dict[str, str] = {}
        self.lock = threading.Lock()

    def take(self, body: bytes, headers: dict[str, str]) -> int:
        with self.lock:
            self.requests += 1
            self.headers = headers
        self.release.wait(60)
        with self.lock:
            status = self.first_statuses.pop(0) if self.first_statuses else self.status
        if status == 200:
            document = ExportTraceServiceRequest.FromString(body)
            with self.lock:
                for of_resource in document.resource_spans:
                    named = {pair.key: pair.value.string_value for pair in of_resource.resource.attributes}
                    self.services.add(named["service.name"])
                    self.spans += [span for of_scope in of_resource.scope_spans for span in of_scope.spans]
        return status

    def of_requests(self) -> list[Span]:
        with self.lock:
            return [span for span in self.spans if span.kind == Span.SPAN_KIND_SERVER]

    def named(self, name: str) -> list[Span]:
        with self.lock:
            return [span for span in self.spans if span.name == name]


@contextmanager
def receiving(receiver: Receiver, tls: ssl.SSLContext | None = None, port: int = 0) -> Iterator[str]:
    """Run it; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            status = receiver.take(body, {name.lower(): value for name, value in self.headers.items()})
            self.send_response(status if self.path == "/v1/traces" else 404)
            for name, value in receiver.answer_headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"
    finally:
        receiver.release.set()
        server.shutdown()
        thread.join()
        server.server_close()


def attributes(of: object) -> dict[str, object]:
    """The attributes of a span or a link."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in of.attributes}
