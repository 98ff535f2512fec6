"""/admin/rollouts over the whole application, with a fake model server and a database in a folder."""

import json
from datetime import UTC, datetime

import msgspec
import pytest

from gateway.rollout.orders import Order
from gateway.rollout.plan import State
from gateway.rollout.starting import Wanted
from gateway.rollout.store.store import Store
from gateway.rollout.store.view import Report
from gateway.settings import settings_from_environment
from tests.gateway.access.made_keys import make_key, write
from tests.waiting import wait_for

RULE = "/admin/rollouts"
GETS = (RULE, f"{RULE}/m", f"{RULE}/m/history", f"{RULE}/m/explain")
POSTS = (f"{RULE}/m", f"{RULE}/m/pin", *(f"{RULE}/m/{order}" for order in Order))


@pytest.fixture
def keys(tmp_path):
    """The headers of keys, by their names."""
    created = {"created": datetime.now(UTC)}
    made = {
        "boss": make_key("boss", scopes=("admin",), **created),
        "digits_boss": make_key("digits_boss", scopes=("admin",), models=("digits",), **created),
        "user": make_key("user", scopes=("predict", "metadata"), **created),
    }
    write(tmp_path / "keys.jsonl", *(key for _, key in made.values()))
    return {name: {"Authorization": f"Bearer {text}"} for name, (text, _) in made.items()}


@pytest.fixture
def guarded(make_client, config_file, keys, tmp_path):
    client = make_client(model_config_file=config_file, keys_file=tmp_path / "keys.jsonl", state_dir=tmp_path / "state")
    # The gateway makes the tables in its first second.
    wait_for(lambda: client.get(RULE, headers=keys["boss"]).status_code == 200)
    return client


@pytest.fixture
def store(tmp_path):
    made = Store(settings_from_environment({"GATEWAY_STATE_DIR": str(tmp_path / "state")}).state_database())
    yield made
    made.close()


def start(client, headers, **wanted):
    return client.post(f"{RULE}/m", {"canary": 8} | wanted, headers=headers)


@pytest.mark.parametrize("path", GETS)
def test_where_no_keys_are_asked_for_nobody_may_and_the_answer_says_how_to_make_one(make_client, config_file, tmp_path, path):
    client = make_client(model_config_file=config_file, state_dir=tmp_path)
    answer = client.get(path)
    assert answer.status_code == 403
    assert "GATEWAY_KEYS_FILE" in answer.json["message"]
    assert "keys new NAME --scope admin" in answer.json["message"]
    assert {client.post(order, {}).status_code for order in POSTS} == {403}


def test_a_key_needs_the_scope_admin(guarded, keys):
    for method, paths in ((guarded.http.get, GETS), (guarded.http.post, POSTS)):
        for path in paths:
            assert method(path).status_code == 401
            assert method(path, headers=keys["user"]).status_code == 403


def test_a_key_for_other_models_sees_and_starts_nothing(guarded, keys):
    assert start(guarded, keys["boss"]).status_code == 201
    assert guarded.get(RULE, headers=keys["digits_boss"]).json == {"rollouts": []}
    for method, paths in ((guarded.http.get, GETS[1:]), (guarded.http.post, POSTS)):
        for path in paths:
            answer = method(path, headers=keys["digits_boss"])
            assert answer.status_code == 403
            assert "may not use the model m" in answer.json["message"]


def test_where_rollouts_are_off_the_settings_are_named(make_client, config_file, keys, tmp_path):
    client = make_client(model_config_file=config_file, keys_file=tmp_path / "keys.jsonl")
    answer = client.get(RULE, headers=keys["boss"])
    assert answer.status_code == 404
    assert "GATEWAY_STATE_DIR" in answer.json["message"]


def test_a_rollout_is_begun_seen_and_ended(guarded, keys, store):
    boss = keys["boss"]
    assert guarded.get(RULE, headers=boss).json == {"rollouts": []}
    answer = start(guarded, boss, steps="1%:manual", stable=7)
    assert (answer.status_code, answer.json["state"], answer.json["canary"]) == (201, "draft", 8)
    [listed] = guarded.get(RULE, headers=boss).json["rollouts"]
    one = guarded.get(f"{RULE}/m", headers=boss).json
    assert listed["id"] == one["id"] == answer.json["id"]
    assert one.keys() > listed.keys()
    ended = guarded.post(f"{RULE}/m/abort", {"note": "no, thanks"}, headers=boss)
    assert (ended.status_code, ended.json["state"], ended.json["is_ended"]) == (200, "aborted", True)
    events = guarded.get(f"{RULE}/m/history", headers=boss).json["events"]
    assert events[-1]["what"] == "start"
    assert events[0]["by"] == events[-1]["by"] == "boss"
    assert "no, thanks" in events[0]["reason"]
    explained = guarded.get(f"{RULE}/m/explain", headers=boss).json
    assert (explained["id"], explained["state"]) == (one["id"], "aborted")
    assert explained["explained"]
    assert store.newest("m").state is State.ABORTED


def test_samples_of_answers_that_differed_are_shown(guarded, keys, store):
    assert start(guarded, keys["boss"]).status_code == 201
    sample = {"request_id": "r1", "ts_us": 1_700_000_000_000_000, "step": 0, "signature": "s", "output": "y", "gap": 0.5}
    store.sync(Report(boot="b", host="here", pid=1, samples=[(store.newest("m").id, sample)]))
    expected = {key: value for key, value in sample.items() if key != "ts_us"} | {"time": "2023-11-14T22:13:20.000Z"}
    for path in (f"{RULE}/m", f"{RULE}/m/explain"):
        assert guarded.get(path, headers=keys["boss"]).json["samples"] == [expected]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ("{", ""),
        ("[]", ""),
        (b"\xff", ""),
        ({}, ""),
        ({"canary": "8"}, "/canary"),
        ({"canary": 8, "colour": "red"}, ""),
        ({"canary": 8, "steps": "50%,10%"}, "/steps"),
        ({"canary": 8, "alpha": 0.5}, "/alpha"),
        ({"canary": 8, "tolerances": {"y/z": {"rtol": -1}}}, "/tolerances/y~1z/rtol"),
        ({"canary": 8, "stable": 8}, "/stable"),
    ],
)
def test_a_body_that_makes_no_plan_is_told_where_it_is_wrong(guarded, keys, body, pointer):
    answer = guarded.post(f"{RULE}/m", body, headers=keys["boss"])
    assert answer.status_code == 400
    assert pointer in [detail["pointer"] for detail in answer.json["details"]]


def test_a_second_rollout_of_a_model_is_a_conflict(guarded, keys):
    start(guarded, keys["boss"])
    answer = start(guarded, keys["boss"], canary=9)
    assert answer.status_code == 409
    assert "rollout abort m" in answer.json["message"]


def test_an_order_that_means_nothing_now_is_refused_with_the_state(guarded, keys):
    start(guarded, keys["boss"])
    answer = guarded.post(f"{RULE}/m/undo", {}, headers=keys["boss"])
    assert answer.status_code == 409
    assert guarded.get(f"{RULE}/m", headers=keys["boss"]).json["state"] in answer.json["message"]


@pytest.mark.parametrize("body", ["{", "[]", {"note": 1}, {"note": "x" * 1001}, {"why": "so"}])
def test_a_bad_note_is_refused(guarded, keys, body):
    start(guarded, keys["boss"])
    assert guarded.post(f"{RULE}/m/abort", body, headers=keys["boss"]).status_code == 400


def test_an_order_needs_no_body(guarded, keys):
    start(guarded, keys["boss"])
    assert guarded.http.post(f"{RULE}/m/abort", headers=keys["boss"]).status_code == 200


def test_a_key_in_a_note_is_not_repeated(guarded, keys):
    start(guarded, keys["boss"])
    secret = keys["user"]["Authorization"].split()[1]
    guarded.post(f"{RULE}/m/abort", {"note": f"see {secret}"}, headers=keys["boss"])
    assert secret not in guarded.get(f"{RULE}/m/history", headers=keys["boss"]).text


@pytest.mark.parametrize("path", [f"{RULE}/m", f"{RULE}/m/explain"])
def test_a_model_that_never_had_a_rollout_is_not_found(guarded, keys, path):
    answer = guarded.get(path, headers=keys["boss"])
    assert (answer.status_code, answer.json["message"]) == (404, "there is no rollout of m")


@pytest.mark.parametrize("path", [f"{RULE}/nobody", f"{RULE}/nobody/pin"])
def test_a_model_that_is_not_served_is_not_found(guarded, keys, path):
    answer = guarded.post(path, {"canary": 8}, headers=keys["boss"])
    assert (answer.status_code, answer.json["message"]) == (404, "there is no model nobody")


def test_a_pin_writes_the_versions_that_answer_into_the_config_file(guarded, keys, config_file):
    answer = guarded.post(f"{RULE}/m/pin", {}, headers=keys["boss"])
    assert (answer.status_code, answer.json["versions"], answer.json["changed"]) == (200, [1], True)
    assert "versions: 1" in config_file.read_text()
    assert len(answer.json["servers"]) == 1
    assert answer.json["confirmed"] is not any(answer.json["servers"].values())
    again = guarded.post(f"{RULE}/m/pin", {}, headers=keys["boss"]).json
    assert (again["versions"], again["changed"]) == ([1], False)


def test_without_a_config_file_a_pin_says_what_is_missing(make_client, config_file, keys, tmp_path):
    client = make_client(keys_file=tmp_path / "keys.jsonl", state_dir=tmp_path / "state")
    client.get("/v1/models/m", headers=keys["user"])
    wait_for(lambda: client.post(f"{RULE}/m/pin", {}, headers=keys["boss"]).status_code == 400)
    answer = client.post(f"{RULE}/m/pin", {}, headers=keys["boss"])
    assert "GATEWAY_MODEL_CONFIG_FILE" in answer.json["message"]


def test_an_unknown_order_is_no_route(guarded, keys):
    assert guarded.post(f"{RULE}/m/dance", {}, headers=keys["boss"]).status_code == 404


def test_a_draft_is_looked_at_by_the_gateway_itself(guarded, keys):
    """The fake model server has no version 8."""
    guarded.get("/readyz")
    assert start(guarded, keys["boss"], canary=1).status_code == 201

    def refused():
        return guarded.get(f"{RULE}/m", headers=keys["boss"]).json["state"] == "refused"

    wait_for(refused)
    assert "--stable" in guarded.get(f"{RULE}/m", headers=keys["boss"]).json["reason"]


def test_the_document_describes_what_is_taken(guarded, keys):
    schemas = json.loads(guarded.get("/openapi.json", headers=keys["user"]).text)["components"]["schemas"]
    fields = {field.name: field for field in msgspec.structs.fields(Wanted)}
    described = schemas["rollouts.wanted"]
    assert described["properties"].keys() == fields.keys()
    assert described["required"] == [name for name, field in fields.items() if field.required]
    plan = schemas["rollouts.plan"]["properties"]
    assert plan["state"]["enum"] == list(State)


def test_the_document_names_every_order(guarded, keys):
    document = json.loads(guarded.get("/openapi.json", headers=keys["user"]).text)
    assert document["components"]["parameters"]["order"]["schema"]["enum"] == list(Order)
