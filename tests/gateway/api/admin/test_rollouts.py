"""/admin/rollouts over the whole application, with a fake model server and a database in a folder."""

import json
import time
from datetime import UTC, datetime

import msgspec
import pytest

from gateway.api.admin.revisions import headers_of, seen_by
from gateway.call import Call
from gateway.rollout import changes
from gateway.rollout.orders import Order
from gateway.rollout.plan import State
from gateway.rollout.starting import Wanted
from gateway.rollout.store import ordering
from gateway.rollout.store.store import Store
from gateway.rollout.store.view import Report
from gateway.settings import settings_from_environment
from tests.gateway.access.made_keys import make_key, write
from tests.waiting import wait_for

RULE = "/admin/rollouts"
GETS = (RULE, f"{RULE}/m", f"{RULE}/m/history", f"{RULE}/m/explain")
NOW_US = time.time_ns() // 1000
POSTS = (f"{RULE}/m", f"{RULE}/m/pin", *(f"{RULE}/m/{order}" for order in Order))


@pytest.fixture
def keys(tmp_path):
    """The headers of keys, by their names."""
    created = {"created": datetime.now(UTC)}
    made = {
        "boss": make_key("boss", scopes=("admin",), **created),
        "digits_boss": make_key("digits_boss", scopes=("admin",), models=("digits",), **created),
        "user": make_key("user", scopes=("predict", "metadata"), **created),
        "gateway": make_key("gateway", scopes=("admin",), **created),  # of a time when it could be made
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


@pytest.fixture
def open_(make_client, config_file, tmp_path):
    """A gateway that asks for no keys."""
    client = make_client(model_config_file=config_file, state_dir=tmp_path / "state")
    wait_for(lambda: client.get(RULE).status_code == 200)
    return client


SAMPLE = {"request_id": "r1", "ts_us": 1_700_000_000_000_000, "step": 0, "signature": "s", "output": "y_out", "gap": 0.5}


def begin(store, canary=8):
    """A rollout that a person has begun by the command line."""
    return ordering.start(store, "m", Wanted(canary=canary), "ada")


def running(store):
    """A rollout whose canary gets requests. It is not open, so that no gateway follows it, and changes it."""
    begin(store)
    while True:
        before = store.newest("m")
        values = {"state": State.RUNNING, "stable": 7, "weight": before.current.weight, "reason": "", "is_open": False}
        after, event = changes.change(before, NOW_US, "run", **values)
        if store.change(before, after, event):
            return after


def start(client, headers, **wanted):
    return client.post(f"{RULE}/m", {"canary": 8} | wanted, headers=headers)


def test_a_key_that_is_called_gateway_is_not_taken_for_the_gateway(guarded, keys):
    assert start(guarded, keys["gateway"]).json["author"] == "key gateway"


@pytest.mark.parametrize("path", POSTS)
def test_where_no_keys_are_asked_for_nobody_may_order_and_the_answer_says_how_to_make_one(open_, store, path):
    begun = begin(store)
    answer = open_.post(path, {"canary": 9})
    assert answer.status_code == 403
    assert "GATEWAY_KEYS_FILE" in answer.json["message"]
    assert "keys new NAME --scope admin" in answer.json["message"]
    assert [event.what for event in store.history("m") if event.by != "gateway"] == ["start"]
    assert store.newest("m").id == begun.id


def test_where_no_keys_are_asked_for_everybody_may_look_but_not_at_samples_of_requests(open_, store):
    plan = begin(store)
    store.sync(Report(boot="b", host="here", pid=1, samples=[(plan.id, SAMPLE)]))
    [listed] = open_.get(RULE).json["rollouts"]
    one = open_.get(f"{RULE}/m").json
    assert listed["id"] == one["id"] == plan.id
    assert one["explained"]
    assert open_.get(f"{RULE}/m/history").json["events"][-1]["by"] == "ada"
    explained = open_.get(f"{RULE}/m/explain")
    assert explained.json["explained"]
    assert one["samples"] is explained.json["samples"] is None
    for path in GETS:
        assert SAMPLE["output"] not in open_.get(path).text


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
    store.sync(Report(boot="b", host="here", pid=1, samples=[(store.newest("m").id, SAMPLE)]))
    expected = {key: value for key, value in SAMPLE.items() if key != "ts_us"} | {"time": "2023-11-14T22:13:20.000Z"}
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
    assert plan["orders"]["items"]["enum"] == list(Order)
    assert plan["state"]["enum"] == list(State)


def test_the_document_names_every_order(guarded, keys):
    document = json.loads(guarded.get("/openapi.json", headers=keys["user"]).text)
    assert document["components"]["parameters"]["order"]["schema"]["enum"] == list(Order)


def give(client, headers, order, body=None, seen=None):
    condition = {} if seen is None else {"If-Match": seen}
    return client.post(f"{RULE}/m/{order}", body or {}, headers=headers | condition)


def test_a_weight_is_given_by_a_number(guarded, keys, store):
    running(store)
    answer = give(guarded, keys["boss"], "weight", {"weight": 0.1234, "note": "it is Friday"})
    assert (answer.status_code, answer.json["weight"], answer.json["canary_weight"]) == (200, 0.1234, 0.1234)
    assert (answer.json["step"], [step["weight"] for step in answer.json["steps"]]) == (1, [0.01, 0.1234, 0.5])
    assert store.newest("m").weight == 123_400
    newest = guarded.get(f"{RULE}/m/history", headers=keys["boss"]).json["events"][0]
    assert (newest["by"], newest["what"]) == ("boss", "weight")
    assert newest["reason"] == "12.34 % of the requests: it is Friday"


def test_every_hundredth_of_a_percent_is_taken_exactly(guarded, keys, store):
    running(store)
    for weight in (0.0001, 0.1 + 0.2, 0.2999, 0.57, 0.9999):
        assert give(guarded, keys["boss"], "weight", {"weight": weight}).status_code == 200
        assert store.newest("m").weight == round(weight * 10_000) * 100


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"weight": 0}, "/weight"),
        ({"weight": 1}, "/weight"),
        ({"weight": -0.1}, "/weight"),
        ({"weight": 12.5}, "/weight"),
        ({"weight": 1e-9}, "/weight"),
        ({"weight": 0.99999}, "/weight"),
        ({"weight": 0.00015}, "/weight"),
        ({"weight": 1e300}, "/weight"),
        ({"weight": "0.1"}, "/weight"),
        ({"weight": None}, "/weight"),
        ({"weight": True}, "/weight"),
        ({"note": "no weight"}, ""),
        ({"weight": 0.1, "step": 1}, ""),
        ("", ""),
    ],
)
def test_a_weight_that_cannot_be_is_refused_where_it_is_wrong(guarded, keys, store, body, pointer):
    before = running(store)
    answer = guarded.post(f"{RULE}/m/weight", body, headers=keys["boss"])
    assert answer.status_code == 400
    assert [detail["pointer"] for detail in answer.json["details"]] == [pointer]
    assert "0.125" in answer.json["message"]
    assert store.newest("m") == before


@pytest.mark.parametrize("order", [order for order in Order if order is not Order.WEIGHT])
def test_no_other_order_takes_a_weight(guarded, keys, store, order):
    before = running(store)
    answer = give(guarded, keys["boss"], order, {"weight": 0.1})
    assert answer.status_code == 400
    assert "weight" in answer.json["message"]
    assert store.newest("m") == before


def test_the_document_of_a_rollout_has_the_orders_that_can_be_given(guarded, keys, store):
    running(store)
    boss = keys["boss"]
    assert guarded.get(f"{RULE}/m", headers=boss).json["orders"] == ["step", "weight", "pause", "promote", "abort"]
    assert guarded.get(RULE, headers=boss).json["rollouts"][0]["orders"] == ["step", "weight", "pause", "promote", "abort"]
    assert give(guarded, boss, "pause").json["orders"] == ["resume", "promote", "abort"]


def test_each_revision_of_a_rollout_has_an_entity_tag_of_its_own(guarded, keys, store):
    started = start(guarded, keys["boss"])
    assert started.headers["ETag"] == f'"{started.json["id"]}.1"'
    give(guarded, keys["boss"], "abort")
    plan = running(store)
    shown = guarded.get(f"{RULE}/m", headers=keys["boss"])
    assert shown.headers["ETag"] == f'"{plan.id}.{plan.revision}"'
    assert shown.headers["Cache-Control"] == "no-store"
    ordered = give(guarded, keys["boss"], "pause", seen=shown.headers["ETag"])
    assert (ordered.status_code, ordered.headers["ETag"]) == (200, f'"{plan.id}.{plan.revision + 1}"')


def test_the_second_of_two_operators_is_told_what_the_first_one_did(guarded, keys, store):
    plan = running(store)
    seen = guarded.get(f"{RULE}/m", headers=keys["boss"]).headers["ETag"]
    assert give(guarded, keys["boss"], "weight", {"weight": 0.2, "note": "looks good"}, seen).status_code == 200
    answer = give(guarded, keys["boss"], "promote", seen=seen)
    assert (answer.status_code, answer.json["error"]) == (412, "PRECONDITION_FAILED")
    message = answer.json["message"]
    assert f"revision {plan.revision} was seen, and it is now at revision {plan.revision + 1}" in message
    assert "running, step 2 of 3, with 20 % of the requests" in message
    assert "`weight` by boss at" in message
    assert "looks good" in message
    assert store.newest("m").revision == plan.revision + 1


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ('"{tag}"', 200),
        ('"other.1", "{tag}"', 200),
        ('"{tag}", W/"other.1"', 200),
        ("*", 200),
        ('W/"{tag}"', 412),
        ('"other.1"', 412),
        ('"{plan}.999"', 412),
        ('"{plan}"', 412),
        ('"{tag}.1"', 412),
        ('"{plan}.%s"' % ("9" * 5000), 412),
        ('"abc"', 412),
        ('"', 412),
        (",", 412),
    ],
)
def test_if_match_is_read_as_http_says(guarded, keys, store, condition, status):
    plan = running(store)
    tag = f"{plan.id}.{plan.revision}"
    answer = give(guarded, keys["boss"], "pause", seen=condition.format(tag=tag, plan=plan.id))
    assert answer.status_code == status
    assert (store.newest("m").state is State.PAUSED) is (status == 200)
    if status == 412:
        assert plan.id in answer.json["message"] or f"at revision {plan.revision}" in answer.json["message"]


def test_a_rollout_is_begun_after_the_one_that_was_seen(guarded, keys, store):
    none = guarded.post(f"{RULE}/m", {"canary": 8}, headers=keys["boss"] | {"If-Match": '"x.1"'})
    assert (none.status_code, store.newest("m")) == (412, None)
    seen = start(guarded, keys["boss"]).headers["ETag"]
    ended = give(guarded, keys["boss"], "abort").headers["ETag"]
    for tag, status in ((seen, 412), (ended, 201)):
        answer = guarded.post(f"{RULE}/m", {"canary": 9}, headers=keys["boss"] | {"If-Match": tag})
        assert answer.status_code == status


def test_a_model_of_any_name_has_an_entity_tag(store, tmp_path):
    (tmp_path / "state").mkdir()
    plan = ordering.start(store, r'a "b", <img src=x>\é', Wanted(canary=8), "ada")
    [(_, tag), _] = headers_of(plan)
    assert tag.isascii()
    assert tag.isprintable()
    assert tag.count('"') == 2
    call = Call("POST", "/", "", {"if-match": f'W/"x.1", {tag}'}, b"", complete_s=0.0)
    assert seen_by(call) == {(plan.id, 1)}
