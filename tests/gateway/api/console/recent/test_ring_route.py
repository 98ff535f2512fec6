"""GET /admin/console/ring.json: who may read what, and that what has not changed is not sent again."""

import gzip
import json

import pytest

from tests.gateway.access.made_keys import make_key, write
from tests.gateway.fake_serving import FakeServing, Version
from tests.waiting import wait_for

RING = "/admin/console/ring.json"
BODY = {"instances": [[1, 2]]}


@pytest.fixture
def fake():
    made = FakeServing()
    made.models = {name: {1: Version()} for name in ("m", "theirs")}
    return made


def told_of(client, model: str, **headers: str) -> dict:
    """The document, once it has recent figures of ``model``."""

    def asked() -> dict | None:
        told = client.get(f"{RING}?model={model}", headers=headers).json
        return told if model in told["recent"] else None

    return wait_for(asked)


def test_predictions_are_in_the_ring(make_client):
    client = make_client()
    told = wait_for(lambda: client.get(RING).json)
    for _ in range(3):
        assert client.post("/v1/models/m:predict", BODY).status_code == 200
    told = told_of(client, "m")
    assert set(told) == {"now", "grain_s", "since", "t", "total", "recent", "model", "rollout"}
    assert told["recent"]["m"]["1"]["requests_s"] > 0
    assert max(told["model"]["versions"]["1"]["requests"]) > 0
    later = client.get(f"{RING}?since={told['now']}").json
    assert all(t > told["now"] for t in later["t"])
    assert later["model"] is None


def test_what_has_not_changed_is_not_sent_again(make_client):
    client = make_client()
    client.post("/v1/models/m:predict", BODY)
    told_of(client, "m")

    def unchanged():
        first = client.get(RING)
        again = client.get(RING, headers={"If-None-Match": first.headers["ETag"]})
        return (first, again) if again.status_code == 304 else None  # otherwise a tick came in between

    first, again = wait_for(unchanged)
    assert (again.data, again.headers["ETag"]) == (b"", first.headers["ETag"])
    assert first.headers["Cache-Control"] == "private, no-cache"
    old = first.headers["ETag"]
    changed = wait_for(lambda: (new := client.get(RING, headers={"If-None-Match": old})).status_code == 200 and new)
    assert changed.headers["ETag"] != old


def test_it_is_compressed_for_those_that_take_it(make_client):
    client = make_client()
    answer = client.get(RING, headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert "total" in json.loads(gzip.decompress(answer.data))
    assert "Content-Encoding" not in client.get(RING).headers


@pytest.mark.parametrize("since", ["x", "", "nan", "inf", "1;2", "%00"])
def test_a_time_that_is_none_is_refused(make_client, since):
    answer = make_client().get(f"{RING}?since={since}")
    assert answer.status_code == 400
    assert "since: expected a number of seconds since 1970, got" in answer.json["message"]


def test_a_model_that_nobody_knows_has_no_versions(make_client):
    assert make_client().get(f"{RING}?model=%3Cimg%3E").json["model"] == {"name": "<img>", "versions": {}}


def test_a_key_sees_its_models_only(make_client, tmp_path):
    scopes = ("predict", "metadata")
    keys = {"all": make_key("all", scopes=scopes), "some": make_key("some", scopes=scopes, models=("m",)), "p": make_key("p")}
    write(tmp_path / "keys.jsonl", *(key for _, key in keys.values()))
    client = make_client(keys_file=tmp_path / "keys.jsonl")
    everything, some, predicts = ({"Authorization": f"Bearer {text}"} for text, _ in keys.values())
    for model, count in (("m", 1), ("theirs", 4)):
        for _ in range(count):
            assert client.post(f"/v1/models/{model}:predict", BODY, headers=everything).status_code == 200
    assert told_of(client, "theirs", **everything)["model"]["name"] == "theirs"
    told = told_of(client, "m", **some)
    assert set(told["recent"]) == {"m"}
    assert set(told["total"]["in_flight"]) == {None}
    hidden = client.get(f"{RING}?model=theirs", headers=some)
    assert (hidden.json["model"], hidden.json["rollout"]) == (None, None)
    assert "theirs" not in hidden.text
    assert client.get(RING, headers=predicts).status_code == 403
    assert client.get(RING).status_code == 401


def test_it_can_be_switched_off(make_client):
    assert make_client(console="off").get(RING).status_code == 404
