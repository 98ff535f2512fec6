"""The documentation's routes, over the whole application and a fake model server."""

import dataclasses
import json
import re
from importlib import resources
from urllib.parse import urljoin

import pytest

from gateway.api.docs.openapi import Limits, Served, openapi_json
from gateway.api.tfserving import path as tfserving_path
from gateway.inference.status import ModelStatus
from tests.gateway.fake_serving import Version, signature
from tests.waiting import wait_for

DT_FLOAT, DT_INT32 = 1, 3
FILES = ("/docs/<name>", "/console/<digest>/<path:name>")
"""Of the pages, which are documented."""

WHICH = ("", "/versions/{version}", "/labels/{label}")
"""How a path of that dialect says which version of a model it means."""

SAMPLES = {"{model}": "m", "{version}": "7", "{label}": "stable", "{order}": "pause", "{name}": "mobile"}


def document(client) -> dict:
    return client.get("/openapi.json").get_json()


def filled(path: str) -> str:
    return re.sub(r"{\w+}", lambda name: SAMPLES[name[0]], path)


def test_every_route_is_documented_with_its_methods_and_no_other(client):
    app = client.http.application
    adapter = app.url_map.bind("localhost")
    documented: dict[str, set[str]] = {}
    for path, item in document(client)["paths"].items():
        for method in item.keys() - {"parameters"}:
            rule, _ = adapter.match(filled(path), method=method.upper(), return_rule=True)
            documented.setdefault(rule.rule, set()).add(method.upper())
    routes: dict[str, set[str]] = {}
    for rule in app.url_map.iter_rules():
        routes.setdefault(rule.rule, set()).update(rule.methods - {"HEAD", "OPTIONS"})
    routes["/v1/<path:rest>"] = {"GET", "POST"}  # it answers any other method too: 400
    routes["/v1/feedback"] = {"POST"}  # the others of its rule are its 405, which Flask makes where no other rule matches
    del routes["/V1/<path:rest>"]
    assert documented == {rule: methods for rule, methods in routes.items() if rule not in FILES}


def test_every_route_of_the_tensorflow_serving_dialect_is_documented(client):
    """Its one view parses the path: the forms of it are those of its parser, and each is understood there."""
    [verbs] = re.findall(r":\(\?P<verb>([a-z|]+)\)", tfserving_path._PATTERNS["POST"].pattern)
    ends = {"": "get", "/metadata": "get"} | {f":{verb}": "post" for verb in verbs.split("|")}
    expected = {(f"/v1/models/{{model}}{which}{end}", method) for which in WHICH for end, method in ends.items()}
    paths = document(client)["paths"]
    found = {
        (path, method)
        for path in paths
        for method in paths[path].keys() - {"parameters"}
        if path.startswith("/v1/models/{model}")
    }
    assert found == expected
    for path, method in found:
        assert tfserving_path.parse_path(method.upper(), filled(path)).model.name == "m"


def test_the_document_follows_the_versions(client):
    assert document(client)["tags"][0]["description"].startswith("Version 1.")
    other = signature({"z": (DT_INT32, [-1])}, {"y": (DT_FLOAT, [-1])})
    client.fake.models["m"][2] = Version(signatures={"serving_default": other})
    wait_for(lambda: document(client)["tags"][0]["description"].startswith("Version 2 (also served: 1)."))
    body = document(client)["paths"]["/predict/m"]["post"]["requestBody"]["content"]["application/json"]
    assert body["examples"]["serving_default"]["value"] == {"z": 1}


def test_a_model_that_goes_away_leaves_the_document(client):
    assert "/predict/m" in document(client)["paths"]
    client.fake.models["m"].clear()
    wait_for(lambda: "/predict/m" not in document(client)["paths"])
    [tag] = [tag for tag in document(client)["tags"] if tag["name"] == "m"]
    assert tag["description"].startswith("Not ready: ")


def test_the_document_says_which_signatures_are_not_joined_and_why(client):
    def about():
        return next(tag["description"] for tag in client.get("/openapi.json").json["tags"] if tag["name"] == "m")

    assert "not joined" not in about()
    client.fake.models["m"][1] = Version(lambda inputs: {"y": inputs["x"][1:]})
    assert client.post("/v1/models/m:predict", {"inputs": [[1, 2]]}).status_code == 200
    assert about().endswith(
        "Requests are not joined into batches:\n\n- `serving_default`: output y: not one row for each input row"
    )


def test_the_document_is_made_once_for_one_state():
    limits = Limits(max_body_bytes=1, timeout_s=1.0, non_finite="null")
    served = Served((), (ModelStatus("m", problem="away"),), "")
    first = openapi_json(served, limits)
    assert openapi_json(dataclasses.replace(served), limits) is first
    assert openapi_json(dataclasses.replace(served, default="m"), limits) is not first
    assert openapi_json(dataclasses.replace(served, not_joined={"m": {"s": "why"}}), limits) is not first


def test_the_document_tells_the_limits(make_client, config_file):
    client = make_client(model_config_file=config_file, max_body_bytes=12345, predict_timeout_ms=1500)
    about = document(client)["info"]["description"]
    assert "12345 bytes" in about
    assert "1500 ms" in about


@pytest.mark.parametrize("address", ["/docs", "/docs/"])
def test_the_page_loads_nothing_that_is_not_its_own(client, address):
    response = client.get(address)
    assert response.content_type == "text/html; charset=utf-8"
    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'")
    assert "unsafe" not in policy
    links = re.findall(r'(?:src|href)="([^"]+)"', response.text)
    assert len(links) == 4
    for link in links:
        file = client.get(urljoin(address, link))
        assert file.status_code == 200, link
        assert file.headers["X-Content-Type-Options"] == "nosniff"
    assert "http" not in client.get("/docs/start.js").text


@pytest.mark.parametrize("name", ["../LICENSE", "LICENSE", "index.css", "..%2F__init__.py", "swagger-ui.js"])
def test_only_the_files_of_the_page_are_given_out(client, name):
    assert client.get(f"/docs/{name}").status_code == 404


def test_the_page_is_swagger_ui_that_knows_openapi_3_1():
    version = resources.files("flask_swagger_ui").joinpath("dist", "VERSION").read_text()
    assert int(version.strip().lstrip("v").split(".")[0]) >= 5


def test_snippets_are_json_for_those_who_ask_and_text_for_others(client):
    as_json = client.get("/docs/models/m", headers={"Accept": "application/json"}).get_json()
    assert (as_json["model"], as_json["version"]) == ("m", "1")
    text = client.get("/docs/models/m")
    assert text.content_type == "text/plain; charset=utf-8"
    for snippet in as_json["snippets"]:
        assert snippet["code"] in text.text


def test_snippets_of_a_signature_without_outputs_are_those_that_need_none(client):
    declared = signature({"x": (DT_FLOAT, [-1])}, {})
    client.fake.models["quiet"] = {1: Version(signatures={"serving_default": declared})}
    text = client.get("/docs/models/quiet").text
    assert "/predict/quiet" in text
    assert "tritonclient" not in text


def test_snippets_are_for_the_address_that_the_client_used(client):
    text = client.get("/docs/models/m", headers={"Host": "models.example:8080"}).text
    assert "http://models.example:8080/v1/models/m:predict" in text


@pytest.mark.parametrize("host", ["a'b", "a$(id)", "a;id", "a b", "a[b", "a/../b"])
def test_a_host_that_is_none_gets_into_no_program(client, host):
    response = client.get("/docs/models/m", headers={"Host": host})
    assert host not in response.text


def test_a_name_with_a_quote_in_it_breaks_no_snippet(client):
    name = "it's $(id)"
    client.fake.models[name] = {1: Version()}
    wait_for(lambda: client.get("/docs/models/it's%20$(id)").status_code == 200)
    code = client.get("/docs/models/it's%20$(id)").text
    assert "models/it%27s%20%24%28id%29:predict" in code
    assert "$(id)" not in code.replace(repr(name), "")


def test_snippets_of_a_model_that_is_not_there_are_404_with_the_nearest_names(client):
    response = client.get("/docs/models/n")
    assert response.status_code == 404
    assert "Did you mean m?" in response.get_json()["message"] or "Served are: m" in response.get_json()["message"]


def test_wrong_methods_are_405(client):
    for path in ("/openapi.json", "/docs", "/docs/start.js", "/docs/swagger-ui.css", "/docs/models/m"):
        response = client.post(path, {})
        assert response.status_code == 405
        assert "GET" in response.headers["Allow"]


def test_the_documents_are_json_that_any_parser_reads(client):
    json.loads(client.get("/openapi.json").data, parse_constant=lambda token: pytest.fail(f"bare {token}"))
