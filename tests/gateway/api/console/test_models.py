"""/admin/console/models.json: over the whole application with a fake model server, and the handler alone with made models."""

import asyncio
import gzip
import json
import time
from urllib.parse import quote

import pytest

from gateway.api.console.models import Models
from gateway.call import Call
from gateway.deadline import Deadline
from gateway.errors import Unavailable
from gateway.inference.dtypes import FLOAT
from gateway.inference.signature import ModelRef, ServedModel, Signature, TensorSpec
from gateway.inference.status import Lag, ModelStatus, VersionStatus
from gateway.rollout.control.pins import Pins
from gateway.rollout.plan import Hold, State
from tests.event_loop import on_loop
from tests.gateway.access.made_keys import make_key, write
from tests.gateway.fake_serving import END, FakeServing, Version, signature
from tests.gateway.rollout.live.scene import plan
from tests.waiting import wait_for

PATH = "/admin/console/models.json"
LOADING = 20
FIXED = signature({"x": (1, [2])}, {"y": (1, [2])})

SPEC = TensorSpec("x", FLOAT, (None, 2))
SIGNATURES = {"serving_default": Signature("serving_default", "tensorflow/serving/predict", (SPEC,), (SPEC,))}


class Caller:
    """A caller that may see the models of ``names``; of all without names."""

    name = None
    scopes = ("metadata",)

    def __init__(self, *names: str) -> None:
        self.models = names or ("*",)

    def may_see(self, model: str) -> bool:
        return self.models == ("*",) or model in self.models

    def headers(self) -> tuple[()]:
        return ()


class Catalog:
    """A catalog in memory, which knows no signatures until it is asked; it counts the questions."""

    def __init__(self, *statuses: ModelStatus, fails: bool = False) -> None:
        self.statuses = statuses
        self.fails = fails
        self.lists = 0
        self.asked: list[ModelRef] = []
        self.most_at_once = self._at_once = 0
        self._known: dict[str, dict[int, ServedModel]] = {}

    def models(self) -> tuple[ModelStatus, ...]:
        self.lists += 1
        return self.statuses

    def known(self, name: str) -> tuple[ServedModel, ...]:
        return tuple(self._known.get(name, {}).values())

    async def served(self, model: ModelRef, deadline: Deadline) -> ServedModel:
        self.asked.append(model)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        await asyncio.sleep(0)
        self._at_once -= 1
        if self.fails:
            raise Unavailable("the model server is busy")
        found = self._known.setdefault(model.name, {})[model.version] = ServedModel(model.name, model.version, SIGNATURES)
        return found


def status(name: str = "m", *available: int) -> ModelStatus:
    return ModelStatus(name, tuple(VersionStatus(number, "AVAILABLE") for number in available or (2, 1)))


def made(catalog: Catalog, plan_of=lambda model: None, since=lambda model, version: None, why=lambda served, signature: None):
    return Models(catalog, why, plan_of, since)


async def asked(models: Models, caller: Caller | None = None, **headers: str):
    call = Call("GET", PATH, "", headers, b"", complete_s=time.monotonic(), caller=caller or Caller())
    return await models.models(call)


async def listed(models: Models, caller: Caller | None = None) -> dict[str, dict]:
    document = json.loads((await asked(models, caller)).body)
    return {model["name"]: model for model in document["models"]}


def names(document: dict) -> list[str]:
    return [model["name"] for model in document["models"]]


@pytest.fixture
def shown(client):
    """What the whole application answers, of the models of the fake: a function."""
    return lambda: {model["name"]: model for model in client.get(PATH).json["models"]}


def test_every_version_is_told_with_its_state_and_reason_newest_first(client, shown):
    client.fake.models["m"][2] = Version(state=LOADING)
    client.fake.models["m"][3] = Version(state=END, error_code=3, error_message="no <b>such</b> op")
    wait_for(lambda: len(shown()["m"]["versions"]) == 3)
    model = shown()["m"]
    assert (model["ready"], model["lagging"]) == (True, [])
    assert model["problems"] == ["version 3 failed: INVALID_ARGUMENT: no <b>such</b> op"]
    told = [(version["version"], version["state"], version["reason"], version["weight"]) for version in model["versions"]]
    assert told == [
        ("3", "END", "INVALID_ARGUMENT: no <b>such</b> op", 0.0),
        ("2", "LOADING", "", 0.0),
        ("1", "AVAILABLE", "", 1.0),
    ]
    assert {version["arm"] for version in model["versions"]} == {None}
    began_s = time.time() - 60
    wait_for(lambda: all((version["since"] or 0) > began_s for version in shown()["m"]["versions"]))


def test_a_model_that_answers_nothing_says_why_and_has_no_weights(client, shown):
    client.fake.models["m"] = {1: Version(state=END, error_code=5, error_message="gone")}
    wait_for(lambda: not shown()["m"]["ready"])
    model = shown()["m"]
    assert "no version is AVAILABLE" in model["problems"]
    assert [version["weight"] for version in model["versions"]] == [None]


def test_whether_requests_are_joined_is_told_of_old_versions_too(client, shown):
    client.fake.models["m"] = {4: Version(signatures={"serving_default": FIXED, "__init": FIXED}), 5: Version(), 6: Version()}

    def joined_of() -> dict[str, list]:
        return {version["version"]: version["signatures"] for version in shown()["m"]["versions"]}

    wait_for(lambda: set(joined_of()) == {"4", "5", "6"} and all(joined_of().values()))
    joined = joined_of()
    assert joined["6"] == joined["5"] == [{"name": "serving_default", "not_joined": None}]
    assert joined["4"] == [{"name": "serving_default", "not_joined": "input x: dimension 0 of float[2] is not free"}]


@pytest.mark.parametrize(
    "name", ["<img src=x onerror=alert(1)>", "a\"b'c", "über", "a b", "%41", "{x}", "__proto__", "\u202eleft", "😀", "a\\n"]
)
def test_a_name_with_odd_characters_stays_what_it_is(client, shown, name):
    client.fake.models[name] = {1: Version()}
    client.get(f"/v1/models/{quote(name, safe='')}")
    wait_for(lambda: name in shown())
    assert shown()[name]["ready"] is True


def test_an_answer_is_compressed_and_kept_by_its_etag(client):
    plain = client.get(PATH)
    assert plain.content_type == "application/json"
    assert plain.headers["Cache-Control"] == "private, no-cache"
    packed = client.get(PATH, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain.data
    same = client.get(PATH, headers={"If-None-Match": plain.headers["ETag"]})
    assert (same.status_code, same.data, same.headers["ETag"]) == (304, b"", plain.headers["ETag"])
    client.fake.models["m"][2] = Version()
    wait_for(lambda: client.get(PATH, headers={"If-None-Match": plain.headers["ETag"]}).status_code == 200)
    head = client.http.head(PATH)
    assert (head.status_code, head.data) == (200, b"")


def test_a_key_is_told_of_its_models_only_and_needs_the_scope(make_client, tmp_path, fake: FakeServing):
    fake.models = {name: {1: Version()} for name in ("m", "digits", "digits-2", "secret")}
    config = tmp_path / "models.config"
    entries = "".join(f'config {{ name: "{name}" base_path: "/m" model_platform: "tensorflow" }}' for name in fake.models)
    config.write_text(f"model_config_list {{ {entries} }}")
    made_keys = {
        "all": make_key("all", scopes=("metadata",)),
        "some": make_key("some", scopes=("metadata",), models=("m", "digits*")),
        "none": make_key("none", scopes=("metadata",), models=("other",)),
        "predicts": make_key("predicts", scopes=("predict",)),
        "admin": make_key("admin", scopes=("admin",)),
    }
    write(tmp_path / "keys.jsonl", *(key for _, key in made_keys.values()))
    client = make_client(model_config_file=config, keys_file=tmp_path / "keys.jsonl")
    got = {name: client.get(PATH, headers={"X-API-Key": text}) for name, (text, _) in made_keys.items()}
    for _ in range(2):  # the second time from what was kept
        assert names(got["all"].json) == ["digits", "digits-2", "m", "secret"]
        assert names(got["some"].json) == ["digits", "digits-2", "m"]
        assert names(got["none"].json) == []
        got |= {name: client.get(PATH, headers={"X-API-Key": made_keys[name][0]}) for name in ("all", "some", "none")}
    assert {name: answer.status_code for name, answer in got.items() if name in ("predicts", "admin")} == {
        "predicts": 403,
        "admin": 403,
    }
    assert client.get(PATH).status_code == 401


@on_loop
async def test_a_rollout_says_where_requests_go_and_which_version_is_which_arm():
    models = made(Catalog(status("m", 3, 2, 1), status("n", 5, 4)), lambda name: plan() if name == "m" else None)
    found = await listed(models)
    told = [(version["version"], version["weight"], version["arm"]) for version in found["m"]["versions"]]
    assert told == [("3", 0.0, None), ("2", 0.1, "canary"), ("1", 0.9, "stable")]
    assert [version["weight"] for version in found["n"]["versions"]] == [1.0, 0.0]


@pytest.mark.parametrize(
    ("state", "hold", "weights", "arms"),
    [
        (State.LOADING, Hold.NONE, [0.0, 1.0], ["canary", "stable"]),
        (State.PAUSED, Hold.NONE, [0.1, 0.9], ["canary", "stable"]),
        (State.HOLDING, Hold.NOT_LOADED, [0.0, 1.0], ["canary", "stable"]),
        (State.PROMOTING, Hold.NONE, [1.0, 0.0], ["canary", "stable"]),
        (State.DONE, Hold.NONE, [1.0, 0.0], [None, None]),
        (State.ROLLED_BACK, Hold.NONE, [0.0, 1.0], [None, None]),
    ],
)
@on_loop
async def test_the_weights_are_those_of_the_plans_state(state, hold, weights, arms):
    models = made(Catalog(status("m", 2, 1)), lambda name: plan(state=state, hold=hold))
    versions = (await listed(models))["m"]["versions"]
    assert [version["weight"] for version in versions] == weights
    assert [version["arm"] for version in versions] == arms


@on_loop
async def test_a_version_that_was_kept_for_a_start_without_the_database_gets_every_request(tmp_path):
    pins = Pins(tmp_path / "pins.json")
    pins.note([plan(state=State.RUNNING)])
    [pinned] = pins.read()
    model = (await listed(made(Catalog(status("m", 2, 1)), lambda name: pinned)))["m"]
    assert [(version["version"], version["weight"], version["arm"]) for version in model["versions"]] == [
        ("2", 0.0, None),
        ("1", 1.0, None),
    ]
    assert model["rollout"] is None


@on_loop
async def test_a_version_that_was_taken_back_is_told_with_what_it_did():
    bad = plan(state=State.ROLLED_BACK, reason="errors 7 of 9 bad cells on the canary with 10 % of the exposure")
    models = made(Catalog(status("m", 2, 1), status("n", 2, 1)), lambda name: bad if name == "m" else plan())
    told = {name: model["rollout"] for name, model in (await listed(models)).items()}
    assert told == {
        "m": {"version": "2", "stands": "failed requests and was taken back; Rollouts shows the evidence", "is_bad": True},
        "n": {"version": "2", "stands": "running", "is_bad": False},
    }


@on_loop
async def test_since_when_and_which_servers_lag_is_told():
    lagging = ModelStatus("m", status("m").versions, lagging=(Lag("10.0.0.1:8500", "version 2"),))
    found = await listed(made(Catalog(lagging), since=lambda model, version: 1e9 + version))
    assert found["m"]["lagging"] == [{"server": "10.0.0.1:8500", "lacks": "version 2"}]
    assert found["m"]["problems"] == ["10.0.0.1:8500 lags: version 2"]
    assert [version["since"] for version in found["m"]["versions"]] == [1e9 + 2, 1e9 + 1]


@on_loop
async def test_callers_that_see_the_same_models_share_one_list():
    catalog = Catalog(*(status(f"m{number:03}", 3, 2, 1) for number in range(50)))
    models = made(catalog)
    answers = await asyncio.gather(*(asked(models) for _ in range(10)))
    assert catalog.lists == 1
    assert len({answer.body for answer in answers}) == 1
    assert set(await listed(models, Caller("m001", "m007"))) == {"m001", "m007"}
    assert catalog.lists == 2
    await asked(models, Caller("m001", "m007"))
    assert catalog.lists == 2
    for number in range(100):  # what is kept is bounded
        assert list(await listed(models, Caller(f"m{number % 50:03}", str(number)))) == [f"m{number % 50:03}"]
    assert len(models._kept) <= 8


@on_loop
async def test_signatures_are_asked_for_some_at_a_time_and_each_once():
    """A model server with thousands of versions is not asked about all of them at once."""
    catalog = Catalog(*(status(f"m{number:03}", 3, 2, 1) for number in range(40)))
    models, lists = made(catalog), 0
    while len(catalog.asked) < 120:
        before = len(catalog.asked)
        await models._signatures.of(catalog.models())
        assert 0 < len(catalog.asked) - before <= 64
        lists += 1
    assert lists == 2
    assert catalog.most_at_once <= 16
    assert len(set(catalog.asked)) == 120
    await models._signatures.of(catalog.models())
    assert len(catalog.asked) == 120
    found = await listed(models)
    assert all(version["signatures"] for model in found.values() for version in model["versions"])


@on_loop
async def test_a_model_server_that_does_not_answer_is_not_asked_for_each_list():
    catalog = Catalog(status("m", 2, 1), fails=True)
    models = made(catalog)
    for _ in range(5):
        found = await models._signatures.of(catalog.models())
        assert found == {}
    assert len(catalog.asked) == 2
    assert [version["signatures"] for version in (await listed(models))["m"]["versions"]] == [[], []]


@on_loop
async def test_a_list_of_three_thousand_versions_is_whole_and_small():
    catalog = Catalog(*(status(f"model-{number:04}", 3, 2, 1) for number in range(1000)))
    answer = await asked(made(catalog), **{"accept-encoding": "gzip"})
    document = json.loads(gzip.decompress(answer.body))
    assert len(document["models"]) == 1000
    assert sum(len(model["versions"]) for model in document["models"]) == 3000
    assert len(answer.body) < 65_536


def test_the_rollouts_of_the_gateway_are_those_that_the_list_tells_of(make_client, config_file, tmp_path, fake):
    fake.models["m"] = {1: Version(), 2: Version()}
    boss, key = make_key("boss", scopes=("admin", "metadata"))
    write(tmp_path / "keys.jsonl", key)
    client = make_client(model_config_file=config_file, keys_file=tmp_path / "keys.jsonl", state_dir=tmp_path / "state")
    headers = {"X-API-Key": boss}
    wait_for(lambda: client.get("/admin/rollouts", headers=headers).status_code == 200)
    assert client.post("/admin/rollouts/m", {"canary": 2}, headers=headers).status_code == 201

    def arms() -> dict[str, str | None]:
        [model] = client.get(PATH, headers=headers).json["models"]
        return {version["version"]: version["arm"] for version in model["versions"]}

    wait_for(lambda: arms() == {"2": "canary", "1": "stable"})
