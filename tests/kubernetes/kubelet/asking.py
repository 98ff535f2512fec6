"""How the kubelet asks a container of a Pod: by HTTP, gRPC, a connection or a command."""

import http.client
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc


def passes(
    handler: dict[str, Any],
    address: str,
    port_of: Callable[[str | int], int],
    run: Callable[[list[str], float], int],
    timeout_s: float,
) -> bool:
    """Whether the container at ``address`` passes. ``port_of`` finds a named port; ``run`` gives a command's exit status.

    Raises ValueError for a handler that Kubernetes does not have.
    """
    [(kind, details)] = handler.items()
    if kind == "exec":
        return run(details["command"], timeout_s) == 0
    port = port_of(details["port"])
    if kind == "httpGet":
        return _http(details, address, port, timeout_s)
    if kind == "grpc":
        return _grpc(f"{address}:{port}", details.get("service", ""), timeout_s)
    if kind == "tcpSocket":
        with suppress(OSError), socket.create_connection((address, port), timeout_s):
            return True
        return False
    raise ValueError(f"probe: expected httpGet, grpc, tcpSocket or exec, not {kind!r}")


def _http(details: dict[str, Any], address: str, port: int, timeout_s: float) -> bool:
    """Any status from 200 to 399 passes. As by the kubelet, certificates are not looked at."""
    if details.get("scheme", "HTTP") == "HTTPS":
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            address,
            port,
            timeout=timeout_s,
            context=ssl._create_unverified_context(),  # noqa: S323
        )
    else:
        connection = http.client.HTTPConnection(address, port, timeout=timeout_s)
    headers = {entry["name"]: entry["value"] for entry in details.get("httpHeaders", [])}
    try:
        connection.request("GET", details["path"], headers={"User-Agent": "kube-probe", "Connection": "close"} | headers)
        return 200 <= connection.getresponse().status < 400
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _grpc(target: str, service: str, timeout_s: float) -> bool:
    """A connection for each question, as the kubelet does."""
    with grpc.insecure_channel(target, (("grpc.use_local_subchannel_pool", 1),)) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service=service), timeout=timeout_s, wait_for_ready=False
            )
        except grpc.RpcError:
            return False
    return answer.status == health_pb2.HealthCheckResponse.SERVING
