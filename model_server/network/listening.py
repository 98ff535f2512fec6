"""Where and how to listen, checked before anything is loaded. Nothing here imports TensorFlow."""

import ipaddress
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc

from model_server.flags import Flags
from model_server.messages import SSLConfig, read_text_proto
from model_server.status import ServingError, invalid_argument


@dataclass(frozen=True)
class ListenSettings:
    """Where and how to listen; ``credentials`` of None means plain text."""

    port: int
    host: str
    socket_path: str = ""
    max_threads: int = 8
    health: bool = False
    channel_arguments: tuple[tuple[str, int | str], ...] = ()
    credentials: Any = None


def listen_settings(flags: Flags) -> ListenSettings:
    """What the flags say; raises ServingError for flags or files that cannot be used."""
    if not flags.port and not flags.grpc_socket_path:
        raise invalid_argument(
            "At least one of server_options.grpc_port (--port) or"
            " server_options.grpc_socket_path (--grpc_socket_path) must be set."
        )
    _check_host(flags.host)
    _check_port(flags.port, "port")
    _check_port(flags.rest_api_port, "rest_api_port")
    if flags.grpc_max_threads < 1:
        raise invalid_argument(f"--grpc_max_threads must be positive; was {flags.grpc_max_threads}")
    return ListenSettings(
        flags.port,
        flags.host,
        flags.grpc_socket_path,
        flags.grpc_max_threads,
        flags.enable_grpc_healthcheck_service,
        _channel_arguments(flags.grpc_channel_arguments),
        _credentials(flags.ssl_config_file),
    )


def check_port_free(host: str, port: int, flag: str) -> None:
    """Raise ServingError naming the flag if nobody can listen on ``host:port`` now; 0 is no port."""
    if not port:
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ServingError(
                grpc.StatusCode.UNAVAILABLE, f"--{flag}: cannot listen on {host}:{port}: {error.strerror}"
            ) from error


def _check_host(host: str) -> None:
    try:
        ipaddress.IPv4Address(host)
    except ValueError as error:
        raise invalid_argument(f"--host={host}: expected an IPv4 address, as 127.0.0.1 or 0.0.0.0 (all)") from error


def _check_port(port: int, flag: str) -> None:
    if not 0 <= port <= 65535:
        raise invalid_argument(f"--{flag}={port}: expected a port between 0 (none) and 65535")


def _channel_arguments(text: str) -> tuple[tuple[str, int | str], ...]:
    arguments: list[tuple[str, int | str]] = []
    for pair in filter(None, text.split(",")):
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise invalid_argument(f"--grpc_channel_arguments: expected k=v,k=v but found '{pair}'")
        arguments.append((key, int(value) if value.removeprefix("-").isdecimal() else value))
    return tuple(arguments)


def _credentials(path: str) -> Any:
    if not path:
        return None
    ssl = read_text_proto(path, SSLConfig(), "ssl_config_file")
    if not ssl.server_key or not ssl.server_cert:
        raise invalid_argument(f"--ssl_config_file: '{path}' needs both server_key and server_cert")
    if ssl.client_verify and not ssl.custom_ca:
        raise invalid_argument(f"--ssl_config_file: '{path}' has client_verify but no custom_ca")
    credentials = grpc.ssl_server_credentials(
        [(ssl.server_key.encode(), ssl.server_cert.encode())],
        ssl.custom_ca.encode() or None,
        require_client_auth=ssl.client_verify,
    )
    _check_usable(credentials, path)
    return credentials


def _check_usable(credentials: Any, path: str) -> None:
    """gRPC looks at the certificates when it opens a port, and says what is wrong with them on stderr only."""
    probe = grpc.server(ThreadPoolExecutor(1))
    try:
        probe.add_secure_port("127.0.0.1:0", credentials)
    except RuntimeError as error:
        raise invalid_argument(
            f"--ssl_config_file: '{path}': expected the contents of PEM files (not their paths) in server_key, server_cert"
            " and custom_ca, and a key that fits the certificate"
        ) from error
    finally:
        probe.stop(None)
