"""The files under serving_config/ are what both servers read: they have to be files that this one understands."""

from model_server import config
from model_server.batching.config import batching_plan
from model_server.flags import Flags
from model_server.network.monitoring import monitoring_settings
from tests.model_server.serving import ROOT

DIRECTORY = ROOT / "serving_config"


def test_models():
    models = config.from_file(str(DIRECTORY / "models.config"))
    assert models
    config.check_platforms(models)


def test_batching():
    flags = Flags(enable_batching=True, batching_parameters_file=str(DIRECTORY / "batching.config"))
    assert batching_plan(flags) is not None


def test_monitoring():
    flags = Flags(monitoring_config_file=str(DIRECTORY / "monitoring.config"), rest_api_port=8501)
    assert monitoring_settings(flags).path == "/monitoring/prometheus/metrics"
