"""``python -m gateway`` runs the gateway under gunicorn. ``settings`` tells every setting; ``keys``, ``log`` and ``rollout``
are commands.

Exit codes: 0 after a stop that was asked for, 1 when it cannot start, 2 for a wrong command line.
"""

import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Collection
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NoReturn

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Ctrl-C ends the imports below, which take half a second, without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import click

from gateway import settings
from gateway.access.commands import keys
from gateway.access.limits.limit import parse_limits
from gateway.prediction_log.commands import log_commands
from gateway.rollout.commands.group import rollout
from gateway.rollout.commands.opening import Surroundings
from gateway.server.limits import Limits
from gateway.server.tls import CertificateFiles
from gateway.settings import Settings, SettingsError
from gateway.telemetry import logs


class StartError(click.ClickException):
    """Raised when the gateway cannot start; the message has one line for each reason."""

    exit_code = 1

    def show(self, file: object = None) -> None:
        """Print each reason on one line."""
        for line in self.message.splitlines():
            click.echo(f"gateway: {line}", err=True)


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def main(context: click.Context) -> None:
    """Run the gateway. Everything is configured by GATEWAY_* environment variables: see `settings`."""
    if context.invoked_subcommand is None:
        _serve(_settings())
    elif context.invoked_subcommand == "log":
        _add_offline_commands()


@main.command("settings")
def show_settings() -> None:
    """Print every setting with its default and meaning, as a Markdown table."""
    click.echo("| variable | default | meaning |\n|---|---|---|")
    for row in settings.setting_rows():
        default = f"`{row.default}`" if row.default else ""
        click.echo(f"| `{row.variable}` | {default} | {row.meaning} |")


main.add_command(keys(parse_limits))
main.add_command(log_commands)


def _add_offline_commands() -> None:
    """Add those of ``log`` that a gateway that serves must not load. Their output is their own: only errors are logged."""
    logs.configure("ERROR")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    from gateway.prediction_log.offline.commands.drift import drift  # noqa: PLC0415
    from gateway.prediction_log.offline.commands.export import export  # noqa: PLC0415
    from gateway.prediction_log.offline.commands.replay import replay  # noqa: PLC0415

    for command in (export, replay, drift):
        log_commands.add_command(command)


def _settings() -> Settings:
    try:
        return settings.settings_from_environment(os.environ)
    except SettingsError as error:
        raise StartError(str(error)) from error


def _listed_models(current: Settings) -> Collection[str] | None:
    """The models in the model config file; None if there is none here, or it cannot be read."""
    if current.model_config_file is None:
        return None
    from gateway.backend.model_config import ModelConfigError, ModelConfigFile  # noqa: PLC0415

    try:
        return ModelConfigFile(current.model_config_file).names
    except ModelConfigError:
        return None


def _can_rewrite_lines() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


main.add_command(rollout(Surroundings(_settings, models=_listed_models, is_terminal=_can_rewrite_lines)))


def _serve(current: Settings) -> None:
    # Until gunicorn sets its handlers.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, _leave)
    _check_model_config(current.model_config_file)
    certificate = _certificate(current)
    _check_port(current.host, current.port)
    logs.configure(current.log_level)
    # gRPC's own chatter is no event of ours; must be set before its import.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    metrics_dir = tempfile.mkdtemp(prefix="gateway-metrics-")
    owner = os.getpid()
    try:
        _run(current, certificate, metrics_dir)
    finally:
        # Workers leave through here too.
        if os.getpid() == owner:
            shutil.rmtree(metrics_dir, ignore_errors=True)


def _run(current: Settings, certificate: CertificateFiles | None, metrics_dir: str) -> NoReturn:
    from prometheus_client import multiprocess  # noqa: PLC0415

    from gateway.telemetry.shared_values import SharedValues  # noqa: PLC0415

    # Before the metrics are declared, which the app's import does.
    SharedValues(Path(metrics_dir)).use()

    from gateway.access.limits.table import LimitTable  # noqa: PLC0415
    from gateway.app import WorkerParts  # noqa: PLC0415
    from gateway.parts.access import check_access  # noqa: PLC0415
    from gateway.parts.prediction_log import prediction_log  # noqa: PLC0415
    from gateway.parts.rollouts import check_rollouts  # noqa: PLC0415
    from gateway.parts.serving_tls import check_serving_tls  # noqa: PLC0415
    from gateway.parts.traces import check_traces  # noqa: PLC0415
    from gateway.server.gunicorn_app import serve  # noqa: PLC0415
    from gateway.server.worker import ServerConfig  # noqa: PLC0415

    try:
        check_access(current)
        check_traces(current)
        prediction_log(current)
        check_serving_tls(current)
        check_rollouts(current)
    except SettingsError as error:
        raise StartError(str(error)) from error
    limit_table = LimitTable() if current.keys_file or current.address_limits else None

    def worker_died(pid: int) -> None:
        multiprocess.mark_process_dead(pid, metrics_dir)  # type: ignore[no-untyped-call]
        if limit_table is not None:
            limit_table.worker_died(pid)

    config = ServerConfig(
        host=current.host,
        port=current.port,
        workers=current.workers,
        limits=Limits(current.max_body_bytes, current.read_timeout_ms, current.max_in_flight),
        drain_delay_s=current.drain_delay_ms / 1000,
        graceful_timeout_s=current.graceful_timeout_s,
        log_level=current.log_level,
        # Each worker follows the key file. A new one that found it broken would have no keys from before to keep.
        ignores_hangup=current.keys_file is not None,
        tls=certificate,
    )
    serve(config, partial(WorkerParts, current, metrics_dir, limit_table), worker_died)


def _leave(sig: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)


def _check_model_config(path: Path | None) -> None:
    if path is None:
        return
    from gateway.backend.model_config import ModelConfigError, ModelConfigFile  # noqa: PLC0415

    try:
        ModelConfigFile(path)
    except ModelConfigError as error:
        raise StartError(f"GATEWAY_MODEL_CONFIG_FILE: {error}") from error


def _certificate(current: Settings) -> CertificateFiles | None:
    if current.tls_cert is None or current.tls_key is None:
        return None
    for setting, path in (("GATEWAY_TLS_CERT", current.tls_cert), ("GATEWAY_TLS_KEY", current.tls_key)):
        try:
            path.read_bytes()
        except OSError as error:  # OpenSSL's own does not say which of the two it is
            raise StartError(f"{setting}: expected a PEM file that can be read: {error}") from error
    certificate = CertificateFiles(current.tls_cert, current.tls_key)
    try:
        certificate.context()
    except (OSError, ValueError) as error:
        files = f"GATEWAY_TLS_CERT={current.tls_cert} GATEWAY_TLS_KEY={current.tls_key}"
        raise StartError(f"{files}: expected a PEM certificate and its key without a password: {error}") from error
    return certificate


def _check_port(host: str, port: int) -> None:
    """gunicorn tries a taken port for seconds, and several workers would share it with another gateway."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise StartError(f"GATEWAY_HOST={host} GATEWAY_PORT={port}: {error.strerror}") from error


if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main())
