"""What a request may do with and without a key, in every dialect, and which models it is told of."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from gateway.access import key_text
from gateway.app import close, create_app
from gateway.settings import SettingsError
from tests.gateway.access.made_keys import make_key, write
from tests.gateway.conftest import Client, settings
from tests.gateway.fake_serving import END, FakeServing, Version, serving
from tests.waiting import wait_for

MODELS = ("m", "secret_model", "shown")
PREDICTIONS = {
    "/v1/models/{}:predict": {"instances": [[1, 2]]},
    "/v1/models/{}/versions/1:predict": {"instances": [[1, 2]]},
    "/v2/models/{}/infer": {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]},
    "/v2/models/{}/versions/1/infer": {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]},
    "/predict/{}": {"x": [1, 2]},
}
METADATA = (
    *("/v1/models/{}", "/v1/models/{}/versions/1", "/v1/models/{}/labels/stable", "/v1/models/{}/metadata"),
    *("/v1/models/{}/versions/1/metadata", "/v1/models/{}/labels/stable/metadata", "/docs/models/{}"),
    *("/v2/models/{}", "/v2/models/{}/versions/1", "/v2/models/{}/versions/stable"),
)
LISTS = (("GET", "/v1/models"), ("POST", "/v2/repository/index"), ("GET", "/openapi.json"))
OPEN = (
    *(
        "/",
        "/docs",
        "/docs/",
        "/docs/start.js",
        "/console",
        "/console/",
        "/console/x/app.js",
        "/health",
        "/healthz",
        "/readyz",
        "/metrics",
    ),
    *("/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/m/ready", "/v2/models/m/versions/1/ready"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def config_file(folder):
    path = folder / "models.config"
    entries = [f'config {{ name: "{name}" base_path: "/models/{name}" model_platform: "tensorflow" }}' for name in MODELS]
    path.write_text(f"model_config_list {{ {' '.join(entries)} }}")
    return path


@pytest.fixture(scope="module")
def keys(folder):
    """The texts of keys by their names; their file is ``keys.jsonl``."""
    both, now = ("predict", "metadata"), datetime.now(UTC)
    made = {
        "all": make_key("all", scopes=both),
        "some": make_key("some", scopes=both, models=("m", "shown")),
        "one": make_key("one", scopes=both, models=("sh*",)),
        "predicts": make_key("predicts"),
        "looks": make_key("looks", scopes=("metadata",)),
        "admin": make_key("admin", scopes=("admin",)),
        "scrapes": make_key("scrapes", scopes=("metrics",)),
        "off": make_key("off", disabled=True),
        "late": make_key("late", expires=now - timedelta(seconds=1)),
    }
    write(folder / "keys.jsonl", *(key for _, key in made.values()))
    return {name: text for name, (text, _) in made.items()} | {
        "unknown": key_text.new().text,
        "typo": made["all"][0][:-1] + "_",
    }


def add_models(fake: FakeServing) -> FakeServing:
    fake.models = {name: {1: Version()} for name in MODELS}
    fake.labels = {(name, "stable"): 1 for name in MODELS}
    return fake


@pytest.fixture
def fake():
    return add_models(FakeServing())


@pytest.fixture(scope="module")
def client(config_file, keys, folder):
    """For tests that only ask."""
    fake = add_models(FakeServing())
    with serving(fake) as port:
        changes = {"model_config_file": config_file, "keys_file": folder / "keys.jsonl", "predict_model": "secret_model"}
        app = create_app(settings(port, **changes))
        client = Client(app, fake)
        wait_for(lambda: client.get("/readyz").status_code == 200)
        yield client
        close(app)


@pytest.fixture
def make_own(make_client, config_file, keys, folder):
    """Makes clients of gateways of a test's own, with all keys."""

    def make(**changes):
        return make_client(**({"model_config_file": config_file, "keys_file": folder / "keys.jsonl"} | changes))

    return make


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def message(response) -> str:
    """What the error says, in the shape of the dialect of its path."""
    document, path = response.json, response.request.path
    if path.startswith(("/v1/", "/v2")):
        assert document.keys() == {"error"}
        return document["error"]
    assert document.keys() == {"ok", "status", "error", "message", "details"}
    assert (document["ok"], document["status"]) == (False, "error")
    return document["message"]


@pytest.mark.parametrize("name", ["all", "some", "predicts"])
@pytest.mark.parametrize("path", PREDICTIONS)
def test_a_key_predicts_by_both_headers(client, keys, path, name):
    for headers in (bearer(keys[name]), {"X-API-Key": keys[name]}):
        assert client.post(path.format("m"), PREDICTIONS[path], headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (None, "there is no key; send "),
        ("unknown", "the key is unknown"),
        ("typo", "the key is malformed"),
        ("off", "the key off is disabled"),
        ("late", "the key late has expired"),
    ],
)
@pytest.mark.parametrize("path", PREDICTIONS)
def test_without_a_valid_key_the_answer_is_401_in_the_dialect_and_the_model_server_is_not_asked(client, keys, path, name, says):
    calls = client.fake.calls.count("Predict")
    for model in ("m", "nope"):
        headers = bearer(keys[name]) if name else {}
        response = client.post(path.format(model), PREDICTIONS[path], headers=headers)
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == ('Bearer error="invalid_token"' if name else "Bearer")
        assert says in message(response)
    assert client.fake.calls.count("Predict") == calls


@pytest.mark.parametrize("path", PREDICTIONS)
def test_a_key_without_the_scope_is_refused_with_its_name(client, keys, path):
    response = client.post(path.format("m"), PREDICTIONS[path], headers=bearer(keys["looks"]))
    assert (response.status_code, message(response)) == (403, "the key looks has no scope predict; it has metadata")
    assert "WWW-Authenticate" not in response.headers


@pytest.mark.parametrize("path", PREDICTIONS)
def test_a_key_that_may_not_use_the_model_is_refused_whether_there_is_one_or_not(client, keys, path):
    calls = client.fake.calls.count("Predict")
    for model in ("m", "nope"):
        response = client.post(path.format(model), PREDICTIONS[path], headers=bearer(keys["one"]))
        assert (response.status_code, message(response)) == (403, f"the key one may not use the model {model}")
    assert client.fake.calls.count("Predict") == calls


@pytest.mark.parametrize("path", METADATA)
def test_the_metadata_of_a_model_that_the_key_may_not_use_is_that_of_an_unknown_one(client, keys, path):
    some, every = bearer(keys["some"]), bearer(keys["all"])
    assert client.get(path.format("m"), headers=some).status_code == 200
    forbidden = client.get(path.format("secret_model"), headers=some)
    unknown = client.get(path.format("unknown_model"), headers=some)
    assert forbidden.status_code == unknown.status_code == (400 if "/v1/models/{}/labels" in path else 404)
    assert forbidden.get_data(as_text=True).replace("secret_model", "unknown_model") == unknown.get_data(as_text=True)
    assert [name for name, _ in forbidden.headers] == [name for name, _ in unknown.headers]
    assert message(forbidden).endswith("Served are: m, shown")
    # Of a name that no key may not use, the model server itself says the same.
    asked = client.get(path.format("unknown_model"), headers=every)
    assert message(asked) == message(unknown).replace("Served are: m, shown", "Served are: m, secret_model, shown")


@pytest.mark.parametrize(("method", "path"), [*LISTS, *(("GET", path.format("m")) for path in METADATA)])
def test_lists_and_metadata_need_the_scope_metadata(client, keys, method, path):
    assert client.http.open(path, method=method).status_code == 401
    refused = client.http.open(path, method=method, headers=bearer(keys["predicts"]))
    assert (refused.status_code, message(refused)) == (403, "the key predicts has no scope metadata; it has predict")
    assert client.http.open(path, method=method, headers=bearer(keys["looks"])).status_code == 200


@pytest.mark.parametrize(("method", "path"), LISTS)
def test_a_list_holds_only_the_models_that_the_key_may_use(client, keys, method, path):
    for name, models in {"all": MODELS, "some": ("m", "shown"), "one": ("shown",), "all ": MODELS}.items():
        text = client.http.open(path, method=method, headers=bearer(keys[name.strip()])).get_data(as_text=True)
        assert tuple(model for model in MODELS if re.search(rf'"[^"]*\b{model}\b', text)) == models, text


@pytest.mark.parametrize("path", PREDICTIONS)
def test_an_unknown_model_is_answered_with_those_that_the_key_may_use(client, keys, path):
    told = {
        ("all", "zzz"): "Served are: m, secret_model, shown",
        ("all", "secret_mode"): "Did you mean secret_model?",
        ("all", "show"): "Did you mean shown?",
    }
    for (name, model), hint in told.items():
        response = client.post(path.format(model), PREDICTIONS[path], headers=bearer(keys[name]))
        assert (response.status_code, message(response).endswith(hint)) == (404, True), message(response)


def test_a_hint_names_no_model_of_another_key(make_own, tmp_path):
    both, path = ("predict", "metadata"), tmp_path / "keys.jsonl"
    near, near_key = make_key("near", models=("secret_mode*", "shown"), scopes=both)
    far, far_key = make_key("far", models=("secret_mode", "shown"), scopes=both)
    write(path, near_key, far_key)
    client = make_own(keys_file=path)
    for target, body in PREDICTIONS.items():
        for text, hint in (
            (near, "Did you mean secret_model?"),
            (far, "Served are: shown"),
            (near, "Did you mean secret_model?"),
        ):
            response = client.post(target.format("secret_mode"), body, headers=bearer(text))
            assert (response.status_code, message(response).endswith(hint)) == (404, True)


def test_a_prediction_that_names_no_model_gets_one_that_the_key_may_use(client, keys):
    def answered(name):
        response = client.post("/predict", {"x": [1, 2]}, headers=bearer(keys[name]))
        return response.status_code, response.json.get("model") or message(response)

    assert answered("all") == (200, "secret_model")
    assert answered("one") == (200, "shown")
    status, text = answered("some")
    refusal = "the key some may not use the model of /predict; say which: POST /predict/<model>; served are: m, shown"
    assert (status, text) == (403, refusal)


@pytest.mark.parametrize("path", OPEN)
def test_probes_and_pages_need_no_key_mind_no_wrong_one_and_name_no_model(client, keys, path):
    for headers in ({}, bearer(keys["unknown"]), bearer(keys["all"]), {"Accept": "text/html"}):
        response = client.get(path, headers=headers, follow_redirects=True)
        assert response.status_code == 200
        if path != "/metrics" and "/models/" not in path:
            text = response.get_data(as_text=True)
            assert not any(model in text for model in ("secret_model", "shown"))


def test_readiness_without_a_key_counts_the_models_that_are_not_ready(make_own, fake, keys):
    client = make_own()
    del fake.models["secret_model"]
    wait_for(lambda: client.get("/readyz").status_code == 503)
    assert client.get("/readyz").json == {"ready": False, "reasons": ["models that are not ready: 1"], "models": []}
    assert client.get("/v2/health/ready").json == {"ready": False, "error": "models that are not ready: 1"}
    fake.models["secret_model"] = {1: Version(state=END, error_code=3, error_message="secret_model is broken")}
    wait_for(lambda: client.get("/readyz").json["reasons"] == ["models that are not ready: 1, failed: 1"])
    unknown = client.get("/v2/models/nope/ready")
    hint = "Could not find any versions of model nope. GET /v1/models with a key lists the models that are for it"
    assert (unknown.status_code, message(unknown)) == (404, hint)
    listed = client.get("/v1/models", headers=bearer(keys["all"])).json["models"]
    assert [entry["name"] for entry in listed if not entry["ready"]] == ["secret_model"]


def test_the_home_page_tells_how_to_send_a_key_and_holds_no_data(client):
    assert client.get("/").json["models"] == []
    assert client.get("/").json["example"] == ""
    assert "Authorization: Bearer KEY" in client.get("/", headers={"Accept": "text/html"}).get_data(as_text=True)


def test_metrics_need_a_key_only_where_a_setting_says_so(client, make_own, keys):
    assert client.get("/metrics").status_code == 200
    strict = make_own(metrics_key="on")
    assert strict.get("/metrics").status_code == 401
    assert strict.get("/metrics", headers=bearer(keys["all"])).status_code == 403
    assert strict.get("/metrics", headers=bearer(keys["scrapes"])).status_code == 200


def test_to_load_a_model_needs_the_scope_admin(client, keys):
    for action in ("load", "unload"):
        path = f"/v2/repository/models/m/{action}"
        assert client.http.post(path).status_code == 401
        assert client.http.post(path, headers=bearer(keys["all"])).status_code == 403
        assert client.http.post(path, headers=bearer(keys["admin"])).status_code == 501


def test_feedback_needs_the_scope_predict(client, keys):
    assert client.post("/v1/feedback", {"request_id": "a", "label": 1}).status_code == 401
    assert client.post("/v1/feedback", {"request_id": "a", "label": 1}, headers=bearer(keys["looks"])).status_code == 403
    assert client.post("/v1/feedback", {"request_id": "a", "label": 1}, headers=bearer(keys["predicts"])).status_code == 404


@pytest.mark.parametrize("path", ["/v1/models/m:predict", "/v1/models/m", "/V1/models/m"])
def test_a_preflight_needs_no_key(client, path):
    assert client.http.options(path, headers={"Origin": "https://app.example"}).status_code == 200


@pytest.mark.parametrize("path", ["/v1/", "/v1/models/m%0A:predict", "/v1/models/m/x%0A", "//v1/models/m", "/v1/models"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PROPFIND"])
def test_no_path_of_tensorflow_serving_is_answered_without_a_key(client, method, path):
    calls = client.fake.calls.count("Predict")
    response = client.http.open(path, method=method, data=b'{"instances": [[1, 2]]}')
    assert response.status_code in ((404,) if path.startswith("//") else (401,))
    assert client.fake.calls.count("Predict") == calls


@pytest.mark.parametrize("path", PREDICTIONS)
def test_two_different_keys_and_a_key_in_the_query_are_refused(client, keys, path):
    body = PREDICTIONS[path]
    both = client.post(path.format("m"), body, headers=bearer(keys["all"]) | {"X-API-Key": keys["some"]})
    assert (both.status_code, "two different keys" in message(both)) == (400, True)
    in_query = client.post(f"{path.format('m')}?key={keys['all']}", body)
    assert (in_query.status_code, "count it as lost" in message(in_query)) == (400, True)


def test_an_operation_of_the_document_needs_a_key_just_when_it_says_so(client, make_own, keys):
    document = client.get("/openapi.json", headers=bearer(keys["all"])).json
    assert document["components"]["securitySchemes"].keys() == {"bearer", "header"}
    strict = make_own(metrics_key="on")
    for one, made in ((client, document), (strict, strict.get("/openapi.json", headers=bearer(keys["all"])).json)):
        needs = {}
        operations = [(path, name, value) for path, item in made["paths"].items() for name, value in item.items()]
        for path, method, operation in operations:
            if method == "parameters":
                continue
            target = path.format(model="m", version="1", label="stable", order="pause", name="mobile")
            status = one.http.open(target, method=method, data=b"{}").status_code
            assert (operation.get("security", made["security"]) == []) == (status != 401), (path, status)
            assert ("401" in operation["responses"]) or status != 401
            needs[path] = status == 401
        assert needs["/metrics"] == (one is strict)
        assert 0 < sum(needs.values()) < len(needs)


def test_without_keys_the_document_declares_no_scheme(make_own):
    document = make_own(keys_file="").get("/openapi.json").json
    assert "securitySchemes" not in document["components"]
    assert "security" not in document


def test_snippets_and_examples_send_the_key_of_the_environment(client, make_own, keys):
    told = client.get("/docs/models/m", headers={"Accept": "application/json"} | bearer(keys["all"])).json
    for snippet in told["snippets"]:
        header = (
            '"Authorization: Bearer $KEY"'
            if snippet["language"] == "bash"
            else "'Authorization': f'Bearer {os.environ[\"KEY\"]}'"
        )
        assert header in snippet["code"]
        assert snippet["language"] == "bash" or "import os\n" in snippet["code"]
    for path in PREDICTIONS:
        refused = client.post(path.format("m"), "[[1.5", headers=bearer(keys["all"]))
        assert refused.status_code == 400
        if "curl" in message(refused):
            assert 'curl -H "Authorization: Bearer $KEY"' in message(refused)
    open_client = make_own(keys_file="")
    for snippet in open_client.get("/docs/models/m", headers={"Accept": "application/json"}).json["snippets"]:
        assert not any(word in snippet["code"] for word in ("Authorization", "import os", "KEY"))


def test_both_secrets_of_a_name_have_one_limit(make_own, tmp_path):
    old, old_key = make_key("mobile", limits="3/day")
    new, new_key = make_key("mobile", limits="3/day")
    other, other_key = make_key("other", limits="3/day")
    write(tmp_path / "keys.jsonl", old_key, new_key, other_key)
    client = make_own(keys_file=tmp_path / "keys.jsonl")
    path, body = next(iter(PREDICTIONS.items()))
    statuses = [client.post(path.format("m"), body, headers=bearer(text)).status_code for text in (old, new, old, new, old)]
    assert statuses == [200, 200, 200, 429, 429]
    assert client.post(path.format("m"), body, headers=bearer(other)).status_code == 200


def test_requests_are_counted_by_the_name_of_their_key(client, keys):
    def counted(name, status):
        text = client.get("/metrics").get_data(as_text=True)
        found = re.search(rf'^gateway_key_requests_total{{key="{name}",status="{status}"}} (\S+)$', text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    before = {case: counted(*case) for case in (("some", 200), ("looks", 403), ("some", 404))}
    path, body = next(iter(PREDICTIONS.items()))
    client.post(path.format("m"), body, headers=bearer(keys["some"]))
    client.post(path.format("m"), body, headers=bearer(keys["looks"]))
    client.get("/v1/models/secret_model", headers=bearer(keys["some"]))
    assert {case: counted(*case) - number for case, number in before.items()} == dict.fromkeys(before, 1.0)


def test_a_file_of_keys_that_is_missing_or_empty_lets_nobody_in(make_own, keys, tmp_path):
    for name, content in (("missing", None), ("empty", "")):
        if content is not None:
            (tmp_path / name).touch(0o600)
        client = make_own(keys_file=tmp_path / name)
        assert client.get("/v1/models", headers=bearer(keys["all"])).status_code == 401


@pytest.mark.parametrize("kind", ["broken", "writable", "a folder"])
def test_an_application_is_not_made_with_a_file_of_keys_that_cannot_be_trusted(tmp_path, kind):
    path = tmp_path / "keys.jsonl"
    write(path, make_key()[1])
    if kind == "broken":
        path.write_text(path.read_text()[:-9])
    elif kind == "writable":
        path.chmod(0o622)
    else:
        path = tmp_path
    with pytest.raises(SettingsError, match=r"^GATEWAY_KEYS_FILE: "):
        close(create_app(settings(1, keys_file=path)))


def test_what_a_client_puts_into_its_id_path_and_body_is_answered_without_the_secret(client, keys):
    secret = keys["all"]
    shown = secret[:12] + "..."
    cases = {
        "id": client.get("/healthz", headers={"X-Request-Id": f"a-{secret}"}),
        "path": client.get(f"/nothing/{secret}", headers=bearer(secret)),
        "v1 path": client.get(f"/v1/nothing/{secret}", headers=bearer(secret)),
        "model": client.post(f"/predict/{secret}", {"x": [1, 2]}, headers=bearer(secret)),
        "v1 model": client.post(f"/v1/models/{secret}:predict", {"instances": [1]}, headers=bearer(secret)),
        "v2 model": client.get(f"/v2/models/{secret}", headers=bearer(secret)),
        "body": client.post("/predict/m", {"x": secret}, headers=bearer(secret)),
        "member": client.post("/predict/m", {secret: 1, "x": [1, 2]}, headers=bearer(secret)),
        "signature": client.post("/v1/models/m:predict", {"signature_name": secret, "instances": [1]}, headers=bearer(secret)),
        "v2 body": client.post("/v2/models/m/infer", {"inputs": [{"name": secret}]}, headers=bearer(secret)),
    }
    assert cases["id"].headers["X-Request-Id"] == f"a-{shown}"
    for about, response in cases.items():
        text = json.dumps([*response.headers.items()]) + response.get_data(as_text=True)
        assert secret[13:23] not in text, about
        assert shown in text or about == "body", (about, text)
