"""The standard health service, for a server that can be drained: its watchers do not keep a drain waiting."""

from collections.abc import Callable
from typing import Any

from grpc import ServicerContext
from grpc_health.v1 import health, health_pb2

_NAMES = ("", "ModelService", "PredictionService")
_Send = Callable[[Any], None]


class Health(health.HealthServicer):  # type: ignore[misc]
    """grpc.health.v1.Health with upstream's service names: not serving until ``serve``, and never after ``drain``."""

    def __init__(self) -> None:
        super().__init__()
        self._watchers: list[_Send] = []
        for name in _NAMES:
            self.set(name, health_pb2.HealthCheckResponse.NOT_SERVING)

    def Watch(self, request: Any, context: ServicerContext, send_response_callback: Any = None) -> Any:  # noqa: N802
        """Stream a service's status until the client goes away or the server drains."""
        if send_response_callback:
            self._watchers.append(send_response_callback)
            context.add_callback(lambda: self._watchers.remove(send_response_callback))
        return super().Watch(request, context, send_response_callback)

    def serve(self) -> None:
        """Report SERVING."""
        for name in _NAMES:
            self.set(name, health_pb2.HealthCheckResponse.SERVING)

    def drain(self) -> None:
        """Report NOT_SERVING and end every Watch, which would otherwise count as a running request."""
        self.enter_graceful_shutdown()
        for send in list(self._watchers):
            send(None)
