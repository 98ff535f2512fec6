"""The HTTP port: Prometheus metrics under the path of the monitoring configuration, and nothing else."""

from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from model_server.flags import Flags
from model_server.messages import MonitoringConfig, read_text_proto
from model_server.network.metrics import Metrics

_DEFAULT_PATH = "/monitoring/prometheus/metrics"
_ELSEWHERE = "This model server speaks gRPC, and REST through the gateway; here is only {path}\n"


@dataclass(frozen=True)
class MonitoringSettings:
    """Where metrics are served; ``path`` is None when they are not."""

    host: str
    port: int
    path: str | None


def monitoring_settings(flags: Flags) -> MonitoringSettings:
    """Read ``--monitoring_config_file``; raises ServingError."""
    if not flags.monitoring_config_file:
        return MonitoringSettings(flags.host, flags.rest_api_port, None)
    message = read_text_proto(flags.monitoring_config_file, MonitoringConfig(), "monitoring_config_file")
    prometheus = message.prometheus_config
    path = (prometheus.path or _DEFAULT_PATH) if prometheus.enable else None
    return MonitoringSettings(flags.host, flags.rest_api_port, path)


class MetricsServer:
    """Serves metrics over HTTP in the background; raises OSError if the port cannot be bound."""

    def __init__(self, host: str, port: int, path: str, metrics: Metrics) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == path:
                    self._reply(200, "text/plain; version=0.0.4", metrics.exposition())
                elif self.path.partition("?")[0] == path:
                    self._reply(400, "text/plain", f"Unexpected path: {self.path}. Should be {path}")
                else:
                    self._reply(404, "text/plain", _ELSEWHERE.format(path=path))

            do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = do_GET  # noqa: N815

            def _reply(self, status: int, content_type: str, text: str) -> None:
                body = text.encode()
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Connection", "close")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Scrapes are not worth a log line."""

        self._server = ThreadingHTTPServer((host, port), Handler)
        Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()
