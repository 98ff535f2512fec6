"""The variables of a platform decide the port and the routes, only where its contract is asked for."""

import pytest

from gateway.settings import SettingsError, settings_from_environment

VERTEX = {
    "GATEWAY_CONTAINER_CONTRACT": "vertex",
    "AIP_HTTP_PORT": "8081",
    "AIP_HEALTH_ROUTE": "/v1/endpoints/7/deployedModels/9",
    "AIP_PREDICT_ROUTE": "/v1/endpoints/7/deployedModels/9:predict",
}
SAGEMAKER = {"GATEWAY_CONTAINER_CONTRACT": "sagemaker"}


def test_vertex_says_port_and_routes_in_its_own_variables():
    settings = settings_from_environment(VERTEX | {"GATEWAY_PORT": "9000"})
    assert settings.port == 8081, "the platform asks nothing else than its own port"
    assert settings.contract is not None
    assert settings.contract.health_route == "/v1/endpoints/7/deployedModels/9"
    assert settings.contract.predict_route == "/v1/endpoints/7/deployedModels/9:predict"


@pytest.mark.parametrize(
    ("given", "port"), [({}, 8080), ({"SAGEMAKER_BIND_TO_PORT": "8200"}, 8200), ({"GATEWAY_PORT": "1"}, 1)]
)
def test_sagemaker_says_the_port_if_it_wants_another_one(given, port):
    settings = settings_from_environment(SAGEMAKER | given)
    assert settings.port == port
    assert settings.contract is not None
    assert (settings.contract.health_route, settings.contract.predict_route) == ("/ping", "/invocations")


def test_without_a_contract_the_variables_of_platforms_mean_nothing():
    given = dict.fromkeys(("AIP_HTTP_PORT", "AIP_HEALTH_ROUTE", "AIP_PREDICT_ROUTE", "SAGEMAKER_BIND_TO_PORT"), "bad")
    settings = settings_from_environment(given)
    assert (settings.port, settings.contract) == (8080, None)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (VERTEX | {"AIP_HTTP_PORT": "http"}, "AIP_HTTP_PORT='http': expected a port from 1 to 65535"),
        (VERTEX | {"AIP_HTTP_PORT": "0"}, "AIP_HTTP_PORT='0': expected a port from 1 to 65535"),
        (VERTEX | {"AIP_HTTP_PORT": "٨٠"}, "AIP_HTTP_PORT='٨٠': expected a port from 1 to 65535"),
        (SAGEMAKER | {"SAGEMAKER_BIND_TO_PORT": "65536"}, "SAGEMAKER_BIND_TO_PORT='65536': expected a port from 1 to 65535"),
        (VERTEX | {"AIP_HEALTH_ROUTE": ""}, "AIP_HEALTH_ROUTE='': expected a path such as /health, because"),
        (VERTEX | {"AIP_PREDICT_ROUTE": "predict"}, "AIP_PREDICT_ROUTE='predict': expected a path such as /predict, because"),
        (VERTEX | {"AIP_PREDICT_ROUTE": "/<model>"}, "AIP_PREDICT_ROUTE='/<model>': expected a path such as /predict, because"),
    ],
)
def test_a_bad_variable_stops_the_start_and_is_named(given, message):
    with pytest.raises(SettingsError) as caught:
        settings_from_environment(given)
    assert str(caught.value).startswith(message)
