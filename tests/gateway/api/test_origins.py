"""Pages of other origins: who may read answers in every dialect, and what a preflight costs."""

import pytest

from tests.gateway.access.made_keys import make_key, write

PAGE = "https://app.example"
PATHS = (
    "/v1/models/m:predict",
    "/v2/models/m/infer",
    "/predict",
    "/v1/models",
    "/v2",
    "/openapi.json",
    "/docs",
    "/",
    "/readyz",
    "/no/route",
)
KEY_HEADERS = (
    "authorization",
    "x-api-key",
    "content-type",
    "content-encoding",
    "x-request-id",
    "inference-header-content-length",
    "traceparent",
    "tracestate",
)
NEVER = "Access-Control-Allow-Credentials"


@pytest.fixture
def make_open(make_client, config_file):
    def make(origins, **settings):
        return make_client(model_config_file=config_file, cors_origins=origins, **settings)

    return make


def ask_first(client, path, origin=PAGE, method="POST"):
    """A browser's preflight."""
    headers = {"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": "authorization"}
    return client.http.options(path, headers=headers)


def of_origins(response) -> dict[str, str]:
    return {name: value for name, value in response.headers if name.startswith("Access-Control") or name == "Vary"}


@pytest.mark.parametrize("path", PATHS)
def test_without_the_setting_nothing_is_said_of_origins(client, path):
    for response in (ask_first(client, path), client.get(path, headers={"Origin": PAGE})):
        assert response.status_code != 204
        assert of_origins(response) == {}


@pytest.mark.parametrize("path", PATHS)
def test_a_preflight_of_a_page_that_may_read_is_204_on_every_path(make_open, path):
    response = ask_first(make_open(f"https://other.example:8443,{PAGE}"), path)
    assert (response.status_code, response.data) == (204, b"")
    said = of_origins(response)
    assert said["Access-Control-Allow-Origin"] == PAGE
    assert said["Vary"] == "Origin"
    assert "POST" in said["Access-Control-Allow-Methods"].split(", ")
    assert set(KEY_HEADERS) <= set(said["Access-Control-Allow-Headers"].lower().split(", "))
    assert int(said["Access-Control-Max-Age"]) > 0
    assert NEVER not in said


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("origin", ["https://app.example.evil", "http://app.example", "https://APP.example", "null", ""])
def test_a_page_of_another_origin_is_told_nothing(make_open, path, origin):
    client = make_open(PAGE)
    for response in (ask_first(client, path, origin), client.get(path, headers={"Origin": origin})):
        assert response.status_code != 204
        assert of_origins(response) == {"Vary": "Origin"}


@pytest.mark.parametrize("path", PATHS)
def test_a_page_that_may_read_gets_every_answer_errors_too_and_its_headers(make_open, path):
    response = make_open(PAGE).get(path, headers={"Origin": PAGE})
    said = of_origins(response)
    assert (said["Access-Control-Allow-Origin"], said["Vary"]) == (PAGE, "Origin")
    exposed = said["Access-Control-Expose-Headers"].split(", ")
    assert {"X-Request-Id", "X-Model-Version", "X-Cache", "RateLimit", "RateLimit-Policy", "Retry-After"} <= set(exposed)
    assert NEVER not in said


def test_an_answer_to_no_page_tells_caches_that_it_depends_on_the_origin(make_open):
    assert of_origins(make_open(PAGE).get("/v1/models/m")) == {"Vary": "Origin"}


@pytest.mark.parametrize("origin", [PAGE, "null"])
def test_a_star_lets_every_page_read_and_no_answer_depends_on_the_origin(make_open, origin):
    client = make_open("*")
    assert ask_first(client, "/predict", origin).status_code == 204
    said = of_origins(client.get("/v1/models/m", headers={"Origin": origin}))
    assert said["Access-Control-Allow-Origin"] == "*"
    assert "Vary" not in said


def test_options_that_are_no_preflight_are_answered_as_ever(make_open, client):
    opened = make_open(PAGE)
    for path, status in (("/predict", 405), ("/v1/models/m:predict", 200)):
        answers = [one.http.options(path, headers={"Origin": PAGE}) for one in (opened, client)]
        assert [answer.status_code for answer in answers] == [status, status]


def test_tensorflow_servings_headers_are_for_the_pages_of_no_listed_origin(make_open):
    """With both settings no header is there twice."""
    client = make_open(PAGE, tfserving_cors="on")
    listed, other = (client.get("/v1/models/m", headers={"Origin": origin}) for origin in (PAGE, "https://b.example"))
    assert listed.headers.getlist("Access-Control-Allow-Origin") == [PAGE]
    assert other.headers.getlist("Access-Control-Allow-Origin") == ["*"]
    assert ask_first(client, "/v1/models/m:predict").status_code == 204
    preflight = ask_first(client, "/v1/models/m:predict", "https://b.example")
    assert (preflight.status_code, preflight.headers.getlist("Access-Control-Allow-Headers")) == (200, ["Content-Type"])


def test_a_preflight_needs_no_key_and_counts_for_no_limit(make_open, tmp_path):
    text, key = make_key(limits="1/hour")
    write(tmp_path / "keys.jsonl", key)
    client = make_open(PAGE, keys_file=tmp_path / "keys.jsonl")
    for _ in range(3):
        assert ask_first(client, "/predict/m").status_code == 204
    headers = {"Origin": PAGE, "X-API-Key": text}
    answers = [client.post("/predict/m", {"x": [1, 2]}, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    refused = client.post("/predict/m", {"x": [1, 2]}, headers={"Origin": PAGE})
    assert refused.status_code == 401
    for answer in (*answers, refused):
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE


@pytest.mark.parametrize("path", ["/docs", "/docs/start.js", "/openapi.json", "/"])
def test_a_page_of_ours_loads_nothing_from_elsewhere_and_is_in_no_frame(client, path):
    response = client.get(path, headers={"Accept": "text/html"})
    policy = response.headers["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "frame-ancestors 'none'", "script-src 'self'"} <= set(policy)
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
