"""Limits as a client meets them: over HTTP, of a gateway with several workers."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, closing

import grpc
import http_sf
import pytest
import requests

from tests.gateway.access.limits.redis_server import RedisServer
from tests.gateway.access.made_keys import make_key, write
from tests.gateway.fake_serving import Version
from tests.stack.conftest import ROOT
from tests.stack.held_gateway import held_gateway
from tests.waiting import free_port, wait_for

V1, V2, SIMPLE = "/v1/models/m:predict", "/v2/models/m/infer", "/predict/m"
BODIES = {
    V1: {"instances": [[1, 2]]},
    V2: {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]},
    SIMPLE: {"x": [1, 2]},
}


class Caller:
    """A client of one gateway, on one connection as long as the gateway keeps it."""

    def __init__(self, gateway, **headers: str) -> None:
        self.gateway = gateway
        self.headers = headers
        self._connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
        self.close = self._connection.close

    def post(self, path: str = V1, document: object = None, **headers: str):
        """The status, the headers and the body of the answer."""
        body = json.dumps(BODIES[path] if document is None else document)
        self._connection.request("POST", path, body, self.headers | headers)
        # A connection that the gateway closes would be opened again without a word.
        sock = self._connection.sock
        answer = self._connection.getresponse()
        text = answer.read()
        assert self._connection.sock is sock, "the connection is kept"
        return answer.status, dict(answer.getheaders()), text

    def statuses(self, number: int, path: str = V1, **headers: str) -> list[int]:
        return [self.post(path, **headers)[0] for _ in range(number)]


@pytest.fixture
def make_gateway(tmp_path):
    """Makes a gateway of three workers whose only key has ``limits``, or that limits addresses; gives a caller of it."""
    with ExitStack() as stack:

        def make(limits: str = "", workers: int = 3, **settings: object) -> Caller:
            headers = {}
            if limits:
                text, key = make_key("mobile", limits=limits)
                write(tmp_path / "keys.jsonl", key)
                settings["keys_file"] = tmp_path / "keys.jsonl"
                headers["X-API-Key"] = text
            gateway = stack.enter_context(held_gateway(tmp_path, workers, **settings))
            return stack.enter_context(closing(Caller(gateway, **headers)))

        yield make


def members(headers: dict[str, str], name: str) -> dict[str, dict[str, object]]:
    """The members of a list of RFC 9651, by name."""
    return {str(item): dict(parameters) for item, parameters in http_sf.parse(headers[name].encode(), tltype="list")}


def test_a_limit_is_one_for_all_workers_and_its_refusal_is_told_in_the_dialects_words(make_gateway):
    caller = make_gateway("6/hour; 1000/min;unit=row")
    for left in range(5, -1, -1):
        path = (V1, V2, SIMPLE)[left % 3]
        status, headers, _ = caller.post(path)
        assert status == 200
        assert members(headers, "RateLimit")["6/hour"] == {"r": left, "t": 3600}
        assert set(members(headers, "RateLimit-Policy")) == {"6/hour", "1000/min;unit=row"}
    answered = caller.gateway.fake.calls.count("Predict")
    for path in (V1, V2, SIMPLE):
        status, headers, body = caller.post(path)
        assert status == 429
        seconds = members(headers, "RateLimit")["6/hour"]
        assert seconds["r"] == 0
        assert int(headers["Retry-After"]) == seconds["t"]
        assert 3590 <= seconds["t"] <= 3600
        document = json.loads(body)
        text = document["message"] if path == SIMPLE else document["error"]
        assert text == f"rate limit '6/hour' is used up: try again in {seconds['t']} s"
        assert path != SIMPLE or (document["ok"], document["error"]) == (False, "RESOURCE_EXHAUSTED")
    assert caller.gateway.fake.calls.count("Predict") == answered, "no refused request reaches the model"


def test_a_limit_per_model_counts_each_model_apart(make_gateway):
    caller = make_gateway("2/hour;per=model")
    caller.gateway.fake.models["other"] = {1: Version()}
    assert caller.statuses(3) == [200, 200, 429]
    assert caller.post("/v1/models/other:predict", BODIES[V1])[0] == 200


def test_an_address_has_a_limit_and_only_a_trusted_proxy_says_for_whom_it_asks(make_gateway):
    caller = make_gateway(address_limits="2/hour")
    forged = [caller.post(**{"X-Forwarded-For": f"192.0.2.{number}"})[0] for number in range(3)]
    assert forged == [200, 200, 429]
    assert caller.statuses(1, SIMPLE) == [429]


def test_behind_a_trusted_proxy_each_client_has_its_own_limit_and_cannot_forge_another(make_gateway):
    caller = make_gateway(address_limits="2/hour", trusted_proxies="127.0.0.0/8")
    assert caller.statuses(3, **{"X-Forwarded-For": "192.0.2.1"}) == [200, 200, 429]
    # What the client itself wrote stands before what the proxy adds.
    assert caller.statuses(1, **{"X-Forwarded-For": "198.51.100.7, 192.0.2.1"}) == [429]
    assert caller.statuses(1, **{"X-Forwarded-For": "192.0.2.1:5678"}) == [429]
    assert caller.statuses(2, **{"X-Forwarded-For": "2001:db8::1"}) == [200, 200]
    assert caller.statuses(1, **{"X-Forwarded-For": "2001:db8::2"}) == [429], "a client has all of a /64"


def test_rows_and_bytes_are_counted_when_they_are_known_and_before_the_model_is_asked(make_gateway):
    caller = make_gateway("100/hour; 10/hour;unit=row; 1000/hour;unit=byte")
    status, headers, _ = caller.post(document={"instances": [[1, 2]] * 8})
    assert status == 200
    left = members(headers, "RateLimit")
    size = len(json.dumps({"instances": [[1, 2]] * 8}))
    assert [left[name]["r"] for name in ("100/hour", "10/hour;unit=row", "1000/hour;unit=byte")] == [99, 2, 1000 - size]
    status, headers, body = caller.post(document={"instances": [[1, 2]] * 3})
    assert status == 429
    assert b"'10/hour;unit=row' is used up" in body
    assert int(headers["Retry-After"]) == members(headers, "RateLimit")["10/hour;unit=row"]["t"]
    assert caller.gateway.fake.calls.count("Predict") == 1
    assert members(caller.post(document={"instances": [[1, 2]] * 2})[1], "RateLimit")["100/hour"]["r"] == 97


def test_what_is_refused_before_the_limits_counts_for_none_and_a_bad_body_for_a_request_only(make_gateway):
    caller = make_gateway("3/hour; 10/hour;unit=row", max_body_bytes=1000)
    stranger = make_key()[0]
    assert caller.post(**{"X-API-Key": stranger})[0] == 401
    assert requests.post(caller.gateway.address + V1, data=b"x" * 2000, headers=caller.headers, timeout=30).status_code == 413
    status, headers, _ = caller.post(document={"instances": [["one", 2]]})
    assert (status, members(headers, "RateLimit")["3/hour"]["r"]) == (400, 2)
    left = members(caller.post()[1], "RateLimit")
    assert (left["3/hour"]["r"], left["10/hour;unit=row"]["r"]) == (1, 9)


def test_a_kept_answer_costs_a_request_and_none_of_the_models_time(make_gateway):
    # The model's time comes back so slowly that what is left of it stays the same.
    caller = make_gateway("100/hour; 1000/day;unit=model_ms", workers=1, cache="m:10:60s", batch_proofs=0)
    first = caller.post()[1]
    kept = [caller.post()[1] for _ in range(3)]
    assert [one["X-Cache"] for one in (first, *kept)] == ["miss", "hit", "hit", "hit"]
    assert [members(one, "RateLimit")["100/hour"]["r"] for one in kept] == [98, 97, 96]
    left_ms = {members(one, "RateLimit")["1000/day;unit=model_ms"]["r"] for one in (first, *kept)}
    assert len(left_ms) == 1
    assert min(left_ms) < 1000


def test_the_models_time_is_charged_afterwards_and_a_debt_refuses_the_next_request(make_gateway):
    caller = make_gateway("1/hour;unit=model_ms")
    caller.gateway.fake.models["m"][1].run = slow
    assert caller.statuses(2) == [200, 429]


def slow(inputs):
    """A model that takes 10 ms and more."""
    time.sleep(0.01)
    return {"y": inputs["x"] * 2}


def test_a_place_of_those_in_work_is_given_back_however_a_request_ends(make_gateway):
    caller = make_gateway("parallel=1; 1000/hour", predict_timeout_ms=1000)
    fake = caller.gateway.fake
    assert caller.post()[0] == 200
    fake.failures.append((grpc.StatusCode.INTERNAL, "the model failed"))
    assert caller.post()[0] == 500
    assert caller.post(document={"instances": "no"})[0] == 400
    fake.release.clear()
    assert caller.post()[0] == 504
    fake.release.set()
    assert caller.post()[0] == 200


def test_a_client_that_goes_away_gives_up_its_place_of_those_in_work(make_gateway):
    caller = make_gateway("parallel=1; 1000/hour")
    fake = caller.gateway.fake
    fake.release.clear()
    with socket.create_connection(("127.0.0.1", caller.gateway.port)) as gone:
        gone.sendall(request(caller))
        wait_for(lambda: "Predict" in fake.calls)
        assert caller.post()[0] == 429
    # The model still works for the one that has gone; the next request is let in, and waits.
    wait_for(lambda: status_of(caller, timeout_s=0.5) == "waits")


def request(caller: Caller) -> bytes:
    body = json.dumps(BODIES[V1])
    head = f"POST {V1} HTTP/1.1\r\nHost: a\r\nX-API-Key: {caller.headers['X-API-Key']}\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head + body).encode()


def test_a_worker_that_is_killed_gives_back_the_places_of_its_requests(make_gateway):
    caller = make_gateway("parallel=1; 1000/hour", workers=2)
    gateway = caller.gateway
    gateway.fake.release.clear()
    with socket.create_connection(("127.0.0.1", gateway.port)) as held:
        held.sendall(request(caller))
        wait_for(lambda: "Predict" in gateway.fake.calls)
        assert status_of(caller) == 429
        for pid in gateway.workers:
            os.kill(pid, signal.SIGKILL)
        gateway.fake.release.set()
        wait_for(lambda: status_of(caller) == 200, 30)


def status_of(caller: Caller, timeout_s: float = 30) -> int | str:
    """Of a request on a connection of its own."""
    try:
        address = caller.gateway.address + V1
        return requests.post(address, json=BODIES[V1], headers=caller.headers, timeout=timeout_s).status_code
    except requests.ConnectionError:
        return "nobody is there"
    except requests.ReadTimeout:
        return "waits"


def test_what_is_limited_is_a_metric(make_gateway):
    caller = make_gateway("1/hour")
    assert caller.statuses(3) == [200, 429, 429]

    def shown() -> list[str]:
        return requests.get(f"{caller.gateway.address}/metrics", timeout=30).text.splitlines()

    wait_for(lambda: 'gateway_limited_total{scope="key",unit="request"} 2.0' in shown())
    wait_for(lambda: 'gateway_auth_total{result="ok"} 3.0' in shown())


BAD = {
    "GATEWAY_ADDRESS_LIMITS": ["100 requests", "5/fortnight", "parallel=0"],
    "GATEWAY_TRUSTED_PROXIES": ["proxy.example", "10.0.0.1/8"],
    "GATEWAY_REDIS_URL": [
        "localhost:6379",
        "http://localhost",
        "redis://app:s3cret@localhost:port",
        "redis://a?no_such=s3cret",
    ],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_a_bad_setting_stops_the_start_with_one_line_that_names_it(name, value):
    environment = os.environ | {"GATEWAY_PORT": str(free_port()), name: value}
    finished = subprocess.run(
        [sys.executable, "-m", "gateway"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    told = [line for line in finished.stderr.splitlines() if not line.startswith("{")]
    assert finished.returncode == 1
    assert len(told) == 1
    assert told[0].startswith(f"gateway: {name}")
    assert "expected" in told[0]
    assert "s3cret" not in finished.stderr


def test_the_metrics_say_whether_redis_shares_the_limits(tmp_path):
    redis = RedisServer(tmp_path)
    redis.start()
    try:
        with held_gateway(tmp_path, 2, address_limits="5/min", redis_url=redis.url) as running:
            wait_for(lambda: "\ngateway_limit_store_up 1.0\n" in requests.get(f"{running.address}/metrics", timeout=10).text)
            redis.kill()
            wait_for(lambda: "\ngateway_limit_store_up 0.0\n" in requests.get(f"{running.address}/metrics", timeout=10).text)
    finally:
        redis.kill()
