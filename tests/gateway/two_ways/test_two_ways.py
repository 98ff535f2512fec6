"""Our own server and the Flask application under any other server give the same answers: status, headers and body."""

import dataclasses
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.app import close, create_app
from gateway.settings import settings_from_environment
from tests.gateway.access.made_keys import make_key, write
from tests.gateway.fake_serving import serving
from tests.gateway.server.http_wire import Answer
from tests.gateway.two_ways import models, servers
from tests.gateway.two_ways.random_requests import random_requests
from tests.gateway.two_ways.requests import (
    MAX_BODY_BYTES,
    PAGE,
    V1,
    V1_GOOD,
    Sent,
    all_requests,
    of_bad_input,
    of_conformance,
    of_methods,
    of_pages,
)
from tests.waiting import wait_for

REQUESTS = all_requests()

Way = Callable[[Sent], Answer]


@dataclass(frozen=True)
class Ways:
    """The same gateway three times, all in front of one model server."""

    ours: Way
    gunicorn: Way
    test_client: Way


def ways(folder: Path, **changes: str) -> Iterator[Ways]:
    config_file = folder / "models.config"
    config_file.write_text(models.config())
    with ExitStack() as parts:
        port = parts.enter_context(serving(models.fake()))
        environment = {
            "GATEWAY_SERVING_TARGET": f"127.0.0.1:{port}",
            "GATEWAY_MODEL_CONFIG_FILE": str(config_file),
            "GATEWAY_MAX_BODY_BYTES": str(MAX_BODY_BYTES),
            "GATEWAY_PREDICT_MODEL": "dense",
            **changes,
        }
        ours = parts.enter_context(servers.ours(environment, folder / "ours.log"))
        gunicorn = parts.enter_context(servers.gunicorn(environment, folder / "gunicorn.log"))
        app = create_app(settings_from_environment(environment))
        parts.callback(close, app)
        wait_for(lambda: app.test_client().get("/readyz").status_code == 200)
        yield Ways(
            lambda sent: servers.over_the_wire(ours, sent),
            lambda sent: servers.over_the_wire(gunicorn, sent),
            lambda sent: servers.in_the_test_client(app, sent),
        )


@pytest.fixture(scope="module")
def same(tmp_path_factory) -> Iterator[Ways]:
    yield from ways(tmp_path_factory.mktemp("ways"))


@pytest.fixture(scope="module")
def same_with_cors(tmp_path_factory) -> Iterator[Ways]:
    yield from ways(
        tmp_path_factory.mktemp("cors"), GATEWAY_TFSERVING_CORS="on", GATEWAY_CORS_ORIGINS=PAGE, GATEWAY_NON_FINITE="null"
    )


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> dict[str, Path | str]:
    """The file of keys as ``file``, and the texts of two keys by their names."""
    file, scopes = tmp_path_factory.mktemp("keys") / "keys.jsonl", ("predict", "metadata", "admin")
    every, every_key = make_key("every", scopes=scopes)
    some, some_key = make_key("some", scopes=scopes[:2], models=("m", "half*"))
    write(file, every_key, some_key)
    return {"file": file, "every": every, "some": some}


@pytest.fixture(scope="module")
def same_with_keys(keys, tmp_path_factory) -> Iterator[Ways]:
    yield from ways(tmp_path_factory.mktemp("with_keys"), GATEWAY_KEYS_FILE=str(keys["file"]), GATEWAY_METRICS_KEY="on")


def test_the_requests_are_many_and_no_two_have_one_name():
    assert len(REQUESTS) > 1000
    assert [name for name, count in Counter(sent.id for sent in REQUESTS).items() if count > 1] == []


@pytest.mark.parametrize("sent", REQUESTS, ids=[sent.id for sent in REQUESTS])
def test_both_ways_give_the_same_answer(same, sent):
    expected = same.ours(sent)
    assert same.gunicorn(sent) == expected
    assert same.test_client(sent) == expected


def test_two_servers_give_the_same_answers_to_requests_made_at_random(same):
    """TWO_WAYS_SEED and TWO_WAYS_REQUESTS change and lengthen it. The test client sends some fields as no server would."""
    seed, number = int(os.environ.get("TWO_WAYS_SEED", "1")), int(os.environ.get("TWO_WAYS_REQUESTS", "400"))
    statuses = Counter()
    for sent in random_requests(seed, number):
        answer = same.ours(sent)
        assert same.gunicorn(sent) == answer, sent
        assert answer.status < 500, sent
        statuses[answer.status] += 1
    assert min(statuses[status] for status in (200, 400, 404, 405)) > 10, statuses


def test_each_way_tells_the_metrics_of_what_it_answered(same):
    """The numbers are each server's own."""
    for way in (same.ours, same.gunicorn, same.test_client):
        assert way(Sent("good", "POST", V1, (), V1_GOOD)).status == 200
        shown = way(Sent("metrics", "GET", "/metrics"))
        assert shown.header(b"content-type").startswith(b"text/plain; version=")
        labels = b'{model="m",signature="serving_default",status="200",version="1"}'
        assert float(re.search(rb"^gateway_requests_total%s (\S+)$" % re.escape(labels), shown.body, re.MULTILINE)[1]) >= 1
        assert float(re.search(rb"^gateway_in_flight_requests (\S+)$", shown.body, re.MULTILINE)[1]) == 1


@pytest.mark.parametrize("sent", [*of_conformance(), *of_methods(), *of_pages()], ids=lambda sent: sent.id)
def test_both_ways_give_the_same_answer_under_other_settings(same_with_cors, sent):
    expected = same_with_cors.ours(sent)
    assert same_with_cors.gunicorn(sent) == expected
    assert same_with_cors.test_client(sent) == expected


@pytest.mark.parametrize("name", ["", "some", "every", "unknown"])
def test_both_ways_let_the_same_requests_in(same_with_keys, keys, name):
    text = keys.get(name, make_key()[0])
    statuses = Counter()
    for sent in [*of_conformance(), *of_methods(), *of_bad_input()]:
        with_key = dataclasses.replace(sent, headers=(*sent.headers, *([("X-API-Key", text)] if name else [])))
        expected = same_with_keys.ours(with_key)
        assert same_with_keys.gunicorn(with_key) == expected, sent
        assert same_with_keys.test_client(with_key) == expected, sent
        statuses[expected.status] += 1
    assert (statuses[401] > 200) == (name in ("", "unknown")), statuses
    assert (statuses[403] > 10) == (name == "some"), statuses
