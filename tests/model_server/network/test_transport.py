"""What surrounds the services: health, TLS, UNIX sockets, metrics over HTTP, channel arguments."""

import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf import text_format
from grpc_health.v1 import health_pb2, health_pb2_grpc

from model_server.flags import Flags
from model_server.messages import SSLConfig
from model_server.network.listening import listen_settings
from model_server.network.metrics import Metrics
from model_server.network.monitoring import monitoring_settings
from model_server.plan import make_plan
from model_server.status import ServingError
from tests.model_server.serving import Client, refused, serving
from tests.waiting import free_port


@pytest.mark.parametrize("service", ["", "ModelService", "PredictionService"])
def test_health(client: Client, service: str):
    reply = health_pb2_grpc.HealthStub(client.channel).Check(health_pb2.HealthCheckRequest(service=service))
    assert reply.status == health_pb2.HealthCheckResponse.SERVING


def test_health_of_an_unknown_service(client: Client):
    with refused(grpc.StatusCode.NOT_FOUND, ""):
        health_pb2_grpc.HealthStub(client.channel).Check(health_pb2.HealthCheckRequest(service="nope"))


def test_without_the_flag_there_is_no_health_service(models: Path):
    with serving(model_base_path=str(models / "half")) as client:
        with pytest.raises(grpc.RpcError) as caught:
            health_pb2_grpc.HealthStub(client.channel).Check(health_pb2.HealthCheckRequest())
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_unix_socket_serves_beside_or_instead_of_the_port_and_replaces_a_stale_one(models: Path, tmp_path: Path):
    path = tmp_path / "serving.sock"
    flags = {"model_base_path": str(models / "half"), "grpc_socket_path": str(path), "port": 0}
    for _ in range(2):
        with serving(**flags):
            assert Client(f"unix:{path}").y("default") == [3.0]
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(path))


def reaches(port: int) -> bool:
    """Whether an address of this machine that is not 127.0.0.1 leads to a listener."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.2", port)) == 0


def test_the_ports_are_open_on_all_addresses_or_on_the_given_one(models: Path, tmp_path: Path):
    (tmp_path / "monitoring.config").write_text("prometheus_config { enable: true }")
    flags = {"model_base_path": str(models / "half"), "monitoring_config_file": str(tmp_path / "monitoring.config")}
    for host, expected in (("0.0.0.0", True), ("127.0.0.1", False)):
        port, metrics_port = free_port(), free_port()
        with serving(**flags, host=host, port=port, rest_api_port=metrics_port) as client:
            assert client.y("default") == [3.0]
            assert (reaches(port), reaches(metrics_port)) == (expected, expected)


def test_channel_arguments_reach_grpc(models: Path):
    arguments = "grpc.max_receive_message_length=1000,grpc.primary_user_agent=x"
    plan = make_plan(Flags(model_base_path="/m", port=free_port(), grpc_channel_arguments=arguments))
    assert plan.listen.channel_arguments == (
        ("grpc.max_receive_message_length", 1000),
        ("grpc.primary_user_agent", "x"),
    )
    with serving(model_base_path=str(models / "half"), grpc_channel_arguments=arguments) as client:
        assert client.y("default") == [3.0]
        with pytest.raises(grpc.RpcError) as caught:
            client.predict("default", {"x": np.zeros(10_000, np.float32)})
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed key and certificate for ``server`` and one for ``client``, made by openssl."""
    openssl = shutil.which("openssl")
    if not openssl:
        pytest.skip("needs the openssl command")
    directory = tmp_path_factory.mktemp("certificates")
    for name in ("server", "client"):
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        subject = ("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}")
        subprocess.run(
            [openssl, "req", "-x509", *key, "-days", "2", *subject, "-keyout", f"{name}.key", "-out", f"{name}.pem"],
            cwd=directory,
            check=True,
            capture_output=True,
        )
    return directory


def ssl_config(certificates: Path, path: Path, client_verify: bool) -> str:
    def quoted(name: str) -> str:
        return '"' + (certificates / name).read_text().replace("\n", "\\n") + '"'

    text = f"server_key: {quoted('server.key')} server_cert: {quoted('server.pem')}"
    if client_verify:
        text += f" custom_ca: {quoted('client.pem')} client_verify: true"
    path.write_text(text)
    return str(path)


def test_tls(models: Path, certificates: Path, tmp_path: Path):
    config = ssl_config(certificates, tmp_path / "ssl.config", client_verify=False)
    port = free_port()
    with serving(port=port, model_base_path=str(models / "half"), ssl_config_file=config) as plain:
        trusted = grpc.ssl_channel_credentials((certificates / "server.pem").read_bytes())
        assert Client(f"127.0.0.1:{port}", trusted, name="server").y("default") == [3.0]
        with pytest.raises(grpc.RpcError) as caught:
            plain.y("default")
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_tls_with_client_certificates(models: Path, certificates: Path, tmp_path: Path):
    config = ssl_config(certificates, tmp_path / "ssl.config", client_verify=True)
    port = free_port()
    ca, key, cert = ((certificates / name).read_bytes() for name in ("server.pem", "client.key", "client.pem"))
    with serving(port=port, model_base_path=str(models / "half"), ssl_config_file=config):
        known = Client(f"127.0.0.1:{port}", grpc.ssl_channel_credentials(ca, key, cert), name="server")
        assert known.y("default") == [3.0]
        with pytest.raises(grpc.RpcError) as caught:
            Client(f"127.0.0.1:{port}", grpc.ssl_channel_credentials(ca), name="server").y("default")
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def key_of_another(config: Any, certificates: Path) -> None:
    config.server_key = (certificates / "client.key").read_text()


def paths(config: Any, certificates: Path) -> None:
    config.server_key, config.server_cert = str(certificates / "server.key"), str(certificates / "server.pem")


def no_ca(config: Any, certificates: Path) -> None:
    config.custom_ca = "nonsense"


def no_certificate(config: Any, certificates: Path) -> None:
    config.server_cert = "nonsense"


@pytest.mark.parametrize("spoil", [key_of_another, paths, no_ca, no_certificate], ids=lambda spoil: spoil.__name__)
def test_certificates_that_cannot_be_used_are_refused_by_their_flag_before_models_are_loaded(
    certificates: Path, tmp_path: Path, spoil: Callable[[Any, Path], None]
):
    path = tmp_path / "ssl.config"
    config = text_format.Parse(Path(ssl_config(certificates, path, client_verify=True)).read_text(), SSLConfig())
    spoil(config, certificates)
    path.write_text(text_format.MessageToString(config))
    with pytest.raises(ServingError, match=f"--ssl_config_file: '{path}': expected the contents of PEM files"):
        listen_settings(Flags(port=free_port(), ssl_config_file=str(path)))


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_metrics_are_served_under_tensorflow_servings_names(models: Path, tmp_path: Path):
    config = tmp_path / "monitoring.config"
    config.write_text('prometheus_config { enable: true path: "/metrics" }')
    port = free_port()
    with serving(
        model_name="m", model_base_path=str(models / "half"), monitoring_config_file=str(config), rest_api_port=port
    ) as client:
        for _ in range(3):
            client.y("m")
        with pytest.raises(grpc.RpcError):
            client.y("m", version=9)
        with pytest.raises(grpc.RpcError):
            client.y("a name that a client made up")
        status, text = get(port, "/metrics")
        assert status == 200
        lines = text.splitlines()
        assert "# TYPE :tensorflow:serving:request_count counter" in lines
        assert ':tensorflow:serving:request_count{model_name="m",status="OK"} 3' in lines
        assert ':tensorflow:serving:request_count{model_name="m",status="NOT_FOUND"} 1' in lines
        assert ':tensorflow:serving:request_latency_count{model_name="m",API="Predict",entrypoint="GRPC"} 3' in lines
        assert ':tensorflow:serving:runtime_latency_count{model_name="m",API="Predict",runtime="TF1"} 3' in lines
        assert "a name that a client made up" not in text
        assert get(port, "/metrics?x=1") == (400, "Unexpected path: /metrics?x=1. Should be /metrics")
        status, text = get(port, "/v1/models/m")
        assert status == 404
        assert text == "This model server speaks gRPC, and REST through the gateway; here is only /metrics\n"


def test_metrics_have_upstreams_default_path_and_are_off_without_a_configuration(tmp_path: Path):
    config = tmp_path / "monitoring.config"
    config.write_text("prometheus_config { enable: true }")
    settings = monitoring_settings(Flags(monitoring_config_file=str(config), rest_api_port=1))
    assert settings.path == "/monitoring/prometheus/metrics"
    config.write_text("prometheus_config { enable: false }")
    assert monitoring_settings(Flags(monitoring_config_file=str(config))).path is None
    assert monitoring_settings(Flags(rest_api_port=8501)).path is None


def test_histograms_are_cumulative_and_labels_escaped():
    metrics = Metrics()
    for value in (1.0, 15.0, 1e30):
        metrics.request_latency.observe(value, 'a"b\\c\nd', "Predict", "GRPC")
    lines = metrics.exposition().splitlines()
    labels = 'model_name="a\\"b\\\\c\\nd",API="Predict",entrypoint="GRPC"'
    name = ":tensorflow:serving:request_latency"
    assert f'{name}_bucket{{{labels},le="10"}} 1' in lines
    assert f'{name}_bucket{{{labels},le="18"}} 2' in lines
    assert f'{name}_bucket{{{labels},le="+Inf"}} 3' in lines
    assert f"{name}_count{{{labels}}} 3" in lines
    assert sum(line.startswith(f"{name}_bucket") for line in lines) == 34
