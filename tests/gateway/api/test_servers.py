"""A gateway before several model servers: readiness speaks for all of them, and so do the statuses and the metrics."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.app import close, create_app
from tests.gateway.access.made_keys import make_key, write
from tests.gateway.conftest import Client, settings
from tests.gateway.fake_serving import END, FakeServing, Version, serving
from tests.waiting import wait_for

PREDICT = "/v1/models/m:predict"
ROW = {"instances": [[1.0, 2.0]]}
LOADING = 20


class Two:
    """A gateway before the servers ``first`` and ``second``."""

    def __init__(self, config_file, **changes) -> None:
        self.first, self.second = FakeServing(), FakeServing()
        self._config_file, self._changes = config_file, changes

    def __enter__(self):
        self._serving = [serving(self.first), serving(self.second)]
        self.first.port, self.second.port = (one.__enter__() for one in self._serving)
        target = f"127.0.0.1:{self.first.port},127.0.0.1:{self.second.port}"
        changes = {"model_config_file": self._config_file} | self._changes
        self.app = create_app(settings(0, **changes, serving_target=target))
        self.client = Client(self.app, self.first)
        wait_for(lambda: self.client.get("/readyz").status_code == 200)
        return self

    def __exit__(self, *raised):
        close(self.app)
        for one in self._serving:
            one.__exit__(*raised)

    def address(self, fake: FakeServing) -> str:
        return f"127.0.0.1:{fake.port}"

    def lagging(self, **kwargs) -> list:
        answer = self.client.get("/readyz", **kwargs)
        assert answer.status_code == 200, answer.json
        [model] = answer.json["models"]
        return model.get("lagging", [])


@pytest.fixture
def two(config_file):
    with Two(config_file) as two:
        wait_for(lambda: two.lagging() == [])
        yield two


def test_readiness_says_what_a_server_lacks_and_stays(two):
    two.second.models["m"] = {1: Version(), 2: Version(state=LOADING)}
    two.first.models["m"][2] = Version()
    lacks = {"server": two.address(two.second), "lacks": "version 2 is LOADING"}
    wait_for(lambda: two.lagging() == [lacks])
    [model] = two.client.get("/readyz").json["models"]
    assert (model["ready"], model["available"]) == (True, ["2", "1"])
    assert model["problems"] == [f"{lacks['server']} lags: version 2 is LOADING"]
    assert {two.client.post(PREDICT, ROW).headers["X-Model-Version"] for _ in range(6)} == {"2"}
    two.second.models["m"][2].state = Version().state
    wait_for(lambda: two.lagging() == [])
    assert two.client.get("/readyz").json["models"][0]["available"] == ["2", "1"]


def test_a_server_without_the_model_takes_nothing_from_the_others(two):
    two.second.models = {}
    lacks = {"server": two.address(two.second), "lacks": "Could not find any versions of model m"}
    wait_for(lambda: two.lagging() == [lacks])
    assert {two.client.post(PREDICT, ROW).status_code for _ in range(10)} == {200}
    assert two.client.get("/v2/health/ready").status_code == 200
    assert two.client.get("/v2/models/m/ready").status_code == 200


def test_a_server_that_goes_away_does_not_make_the_gateway_unready_and_no_request_fails(two):
    two.second.stop()
    statuses = {two.client.post(PREDICT, ROW).status_code for _ in range(50)}
    wait_for(lambda: two.lagging() == [{"server": two.address(two.second), "lacks": "it is not connected"}])
    assert statuses == {200}


def test_no_request_fails_while_the_servers_change_one_after_the_other(two):
    def change(fake: FakeServing, old: int, new: int) -> None:
        fake.models["m"][new] = Version()
        fake.models["m"][old].state = END

    def seen(*versions: int) -> bool:
        return {int(two.client.post(PREDICT, ROW).headers["X-Model-Version"]) for _ in range(4)} == set(versions)

    with ThreadPoolExecutor(4) as pool, asking(two, pool) as statuses:
        for old, new in ((1, 2), (2, 3), (3, 4)):
            change(two.first, old, new)
            wait_for(lambda new=new: seen(new))  # all go where the newer one is
            change(two.second, old, new)
            wait_for(lambda: two.lagging() == [])
    assert set(statuses) == {200}


@contextmanager
def asking(two: Two, pool: ThreadPoolExecutor) -> Iterator[list[int]]:
    """Four clients that ask without a version; the statuses of their answers are there when it ends."""
    is_over, statuses = threading.Event(), []

    def ask() -> list[int]:
        found = []
        while not is_over.is_set():
            found.append(two.client.post(PREDICT, ROW).status_code)
        return found

    clients = [pool.submit(ask) for _ in range(4)]
    try:
        yield statuses
    finally:
        is_over.set()
        for client in clients:
            statuses += client.result()


def test_only_when_no_server_has_the_model_is_the_gateway_not_ready(two):
    two.first.models = {}
    two.second.models = {}
    wait_for(lambda: two.client.get("/readyz").status_code == 503)
    assert two.client.get("/readyz").json["reasons"] == ["m: Could not find any versions of model m"]


def test_when_all_servers_are_away_it_says_so_as_with_one(two):
    two.first.stop()
    two.second.stop()
    wait_for(lambda: two.client.get("/readyz").json["reasons"] == ["m: the model server cannot be reached"])
    assert two.client.post(PREDICT, ROW).status_code == 503


def test_the_metrics_have_each_server(two):
    assert {two.client.post(PREDICT, ROW).status_code for _ in range(10)} == {200}

    def values(name: str) -> dict[str, float]:
        found = {}
        for family in text_string_to_metric_families(two.client.get("/metrics").text):
            for sample in family.samples:
                if sample.name == name and sample.labels.get("status", "OK") == "OK":
                    found[sample.labels["address"]] = sample.value
        return found

    addresses = [two.address(two.first), two.address(two.second)]

    def are_counted() -> bool:
        calls = values("gateway_server_calls_total")
        return all(calls[address] >= 5 for address in addresses)

    wait_for(are_counted)
    assert [values("gateway_server_in_rotation")[address] for address in addresses] == [1, 1]
    assert [values("gateway_server_in_flight_rows")[address] for address in addresses] == [0, 0]
    assert [values("gateway_server_ejections_total")[address] for address in addresses] == [0, 0]


def test_without_a_key_no_server_is_named(config_file, tmp_path):
    text, key = make_key("all", scopes=("metadata",))
    write(tmp_path / "keys.jsonl", key)
    with Two(config_file, keys_file=tmp_path / "keys.jsonl") as two:
        two.second.stop()
        shown = f"{two.address(two.second)} lags: it is not connected"
        wait_for(lambda: shown in two.client.get("/v1/models", headers={"Authorization": f"Bearer {text}"}).text)
        answer = two.client.get("/readyz")
        assert answer.json == {"ready": True, "reasons": [], "models": []}
