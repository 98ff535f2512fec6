"""How gunicorn is configured from the settings."""

import pytest

from gateway.server import GatewayServer, usual_workers
from gateway.settings import from_environment


@pytest.mark.parametrize(("cores", "workers"), [(1, 1), (2, 1), (3, 1), (4, 2), (64, 32)])
def test_half_of_the_cores_are_left_to_the_model_server(cores, workers):
    assert usual_workers(cores) == workers


def test_without_a_number_of_workers_there_are_as_many_as_usual(tmp_path):
    assert GatewayServer(from_environment({}), tmp_path).cfg.workers >= 1


def test_the_number_of_workers_may_be_given(tmp_path):
    assert GatewayServer(from_environment({"GATEWAY_WORKERS": "5"}), tmp_path).cfg.workers == 5
