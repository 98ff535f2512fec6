"""Spans to an OTLP receiver over HTTP: https://opentelemetry.io/docs/specs/otlp/#otlphttp.

OpenTelemetry's own exporter takes the SDK's spans only, whose making and encoding takes ten times as long as that of ours.
"""

import gzip
import random
import time
from collections.abc import Sequence
from typing import Final

import requests
from urllib3 import Retry
from urllib3.exceptions import InvalidHeader

from gateway.tracing.finished import FinishedSpan
from gateway.tracing.receiver import Receiver
from gateway.tracing.sinks.otlp_wire import encode_request, encode_span
from gateway.tracing.sinks.resource import SCOPE, resource_attributes

_MAY_BE_RETRIED: Final = frozenset((429, 502, 503, 504))
_FIRST_PAUSE_S: Final = 1.0
_SHORTEST_TIMEOUT_S: Final = 0.001  # 0 would be none


class OtlpSink:
    """Sends to ``receiver``, again and again within its time-out if that is away or asks for it."""

    def __init__(self, receiver: Receiver) -> None:
        self.name = receiver.endpoint.partition("?")[0].rpartition("@")[2]  # without what may be a password or a token
        self._receiver = receiver
        self._resource = resource_attributes()
        self._session = requests.Session()
        self._session.headers.update({"user-agent": "serving-gateway", "content-type": "application/x-protobuf"})
        self._session.headers.update(receiver.headers)
        if receiver.is_compressed:
            self._session.headers["content-encoding"] = "gzip"
        if receiver.certificate:
            self._session.cert = (receiver.certificate, receiver.key) if receiver.key else receiver.certificate

    def encode(self, span: FinishedSpan) -> bytes:
        """``span`` in protobuf."""
        return encode_span(span)

    def write(self, spans: Sequence[bytes]) -> str | None:
        """Send ``spans``; None, or why they are lost."""
        request = encode_request(self._resource, SCOPE, spans)
        if self._receiver.is_compressed:
            request = gzip.compress(request)
        end_s = time.monotonic() + self._receiver.timeout_s
        pause_s = _FIRST_PAUSE_S
        while True:
            reason, retry_after_s = self._send(request, end_s - time.monotonic())
            if retry_after_s is None:
                return reason
            wait_s = retry_after_s or pause_s * random.uniform(0.8, 1.2)  # noqa: S311 (so that not all come back at once)
            if time.monotonic() + wait_s >= end_s:
                return reason
            time.sleep(wait_s)
            pause_s *= 2

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def _send(self, request: bytes, timeout_s: float) -> tuple[str | None, float | None]:
        """Try once. Gives why it failed, if it did, and in how many seconds to try again; 0.0: whenever; None: never."""
        try:
            answer = self._session.post(
                self._receiver.endpoint,
                request,
                timeout=max(timeout_s, _SHORTEST_TIMEOUT_S),
                allow_redirects=False,
                verify=self._receiver.ca or True,
            )
        except requests.ConnectionError as error:
            return type(error).__name__, 0.0
        except requests.RequestException as error:
            return type(error).__name__, None
        status = answer.status_code
        if status // 100 == 2:
            return None, None
        return f"HTTP status {status}", _retry_after_s(answer) if status in _MAY_BE_RETRIED else None


def _retry_after_s(answer: requests.Response) -> float:
    try:
        return Retry().get_retry_after(answer.raw) or 0.0
    except InvalidHeader:
        return 0.0
