"""GET /: a page for a browser and JSON for others, with the models that there are and a program that calls one."""

import json
import re
import shlex
from urllib.parse import urljoin

import pytest

from gateway.api.advice.worked_example import predict_curl
from gateway.api.docs import home
from tests.gateway.fake_serving import Version
from tests.waiting import wait_for

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def test_a_browser_gets_a_page_that_names_the_models_with_their_state(client):
    page = client.get("/", headers=HTML)
    assert (page.status_code, page.content_type) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert re.search(r">m</a></td><td><span class=\"ready\">ready</span></td><td>1 AVAILABLE</td>", page.text)


def test_every_link_of_the_page_leads_somewhere(client):
    links = re.findall(r'(?:href)="([^"]+)"', client.get("/", headers=HTML).text)
    assert {"docs", "readyz", "metrics", "openapi.json", "docs/models/m"} <= set(links)
    for link in links:
        assert client.get(urljoin("/", link)).status_code == 200, link


@pytest.mark.parametrize("headers", [{}, {"Accept": "*/*"}, {"Accept": "application/json"}])
def test_any_other_client_gets_the_same_facts_as_json(client, headers):
    facts = client.get("/", headers=headers).json
    [model] = facts["models"]
    assert model == {"name": "m", "ready": True, "versions": [{"version": "1", "state": "AVAILABLE"}], "problems": []}
    for link in facts["links"].values():
        assert client.get(link).status_code == 200


def test_the_program_that_it_shows_works(client):
    _, option, body, url = shlex.split(client.get("/", headers={"Host": "models.example:8080"}).json["example"])
    assert (option, url) == ("-d", "http://models.example:8080/v1/models/m:predict")
    assert client.post("/v1/models/m:predict", json.loads(body)).status_code == 200


def test_of_many_models_a_few_programs_are_written_to_show_one(client, monkeypatch):
    written = []

    def counted(model):
        written.append(model.name)
        return predict_curl(model)

    monkeypatch.setattr(home, "predict_curl", counted)
    for number in range(30):
        client.fake.models[f"other{number}"] = {1: Version()}
        assert client.post(f"/v1/models/other{number}:predict", {"instances": [[1.0, 2.0]]}).status_code == 200
    wait_for(lambda: sum(model["ready"] for model in client.get("/").json["models"]) == 31)
    written.clear()
    assert client.get("/").json["example"]
    assert 0 < len(written) <= 20


def test_a_model_that_does_not_answer_is_told_with_the_reason_and_has_no_program(client):
    client.fake.models["m"] = {}
    wait_for(lambda: not client.get("/").json["models"][0]["ready"])
    assert client.get("/").json["example"] == ""
    page = client.get("/", headers=HTML).text
    assert "not ready: " in page
    assert "No model can be called now" in page


def test_a_name_with_markup_in_it_stays_a_name(client):
    name = "<b>&bold"
    client.fake.models[name] = {1: Version()}
    client.get("/v1/models/%3Cb%3E&bold")
    wait_for(lambda: len(client.get("/").json["models"]) == 2)
    page = client.get("/", headers=HTML).text
    assert "<b>" not in page
    assert "&lt;b&gt;&amp;bold" in page
