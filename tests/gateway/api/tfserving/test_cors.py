"""Other origins at /v1: TensorFlow Serving's preflights and headers, by its flag's setting."""

import pytest

PATHS = ("/v1/models/m:predict", "/V1/models/m", "/v1/", "/v1//anything")
ALLOWED = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET",
    "Access-Control-Allow-Headers": "Content-Type",
}


@pytest.fixture
def open_client(make_client, config_file):
    return make_client(model_config_file=config_file, tfserving_cors="on")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("origin", "status"), [("http://a.example", 200), ("https://a.example", 200), ("null", 400), (None, 400)]
)
def test_a_preflight_depends_on_the_origin_alone(client, path, origin, status):
    response = client.http.options(path, headers={"Origin": origin} if origin else {})
    assert (response.status_code, response.data) == (status, b"")
    assert response.content_type == "text/html; charset=ISO-8859-1"
    assert not set(ALLOWED) & set(response.headers.keys())


def test_with_the_setting_every_answer_has_the_headers(open_client):
    answers = [
        open_client.http.options(PATHS[0], headers={"Origin": "http://a.example"}),
        open_client.http.options(PATHS[0]),
        open_client.post("/v1/models/m:predict", {"instances": [[1, 2]]}),
        open_client.get("/v1/models/nope"),
        open_client.get("/v1//nowhere"),
    ]
    assert [answer.status_code for answer in answers] == [200, 400, 200, 404, 400]
    for answer in answers:
        assert {name: answer.headers[name] for name in ALLOWED} == ALLOWED


def test_no_other_route_has_the_headers(open_client):
    for path in ("/health", "/predict", "/metrics", "/v1x"):
        assert not set(ALLOWED) & set(open_client.get(path).headers.keys())
