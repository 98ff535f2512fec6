"""The prediction log of a real gateway: what each request leaves there, and what a stop, a kill and a bad operator do to it."""

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
import requests

from gateway.prediction_log import tensors
from tests.gateway.access.made_keys import make_key, write
from tests.gateway.prediction_log.outages import postgres_hangs, sqlite_locked
from tests.postgres import PASSWORD, postgres
from tests.stack.conftest import ROOT
from tests.stack.logged_gateway import is_exact, logged_gateway
from tests.waiting import wait_for

V1, V2, SIMPLE = "/v1/models/m:predict", "/v2/models/m/infer", "/predict/m"
ROW = {"instances": [[1, 2]]}
INFER = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture(scope="module")
def server():
    with postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "file", "postgresql"])
def address(request, tmp_path):
    if request.param == "postgresql":
        return request.getfixturevalue("server").address()
    return {"sqlite": f"sqlite:///{tmp_path}/log.db", "file": f"file://{tmp_path}/log"}[request.param]


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / "models.config"
    path.write_text('model_config_list { config { name: "m" base_path: "/models/m" model_platform: "tensorflow" } }')
    return path


def ask_in_every_way(gateway) -> dict[str, int]:
    """Requests of all dialects with all kinds of outcomes; their statuses by their ids."""
    fake = gateway.fake
    statuses = {}

    def send(request_id, path, document, **headers):
        answer = gateway.post(path, document, headers={"X-Request-Id": request_id} | headers)
        statuses[request_id] = answer.status_code

    send("v1", V1, {"instances": [[1, 2], [3, 4]]}, traceparent=f"00-{TRACE}-b7ad6b7169203331-01")
    send("v2", V2, INFER)
    send("simple", SIMPLE, {"x": [5, 6]})
    send("large", V1, {"instances": [[1, 2]] * 100})
    send("classify", "/v1/models/m:classify", {"examples": [{"a": 1.5}, {"a": 2.5, "b": 3}]})
    send("no-json", V1, "{")
    send("unfit", V1, {"instances": [["a", 2]]})
    send("no-model", "/v1/models/nope:predict", ROW)
    fake.failures += [(grpc.StatusCode.UNAVAILABLE, "away")] * 2
    send("away", V1, {"instances": [[7, 7]]})
    fake.failures.clear()
    fake.release.clear()
    send("late", V1, {"instances": [[8, 8]]})
    with pytest.raises(requests.Timeout):
        requests.post(gateway.url + V1, json={"instances": [[9, 9]]}, headers={"X-Request-Id": "gone"}, timeout=0.2)
    fake.release.set()
    return statuses | {"gone": 499}


def test_each_request_for_a_prediction_is_a_row(address, tmp_path, config_file):
    with logged_gateway(tmp_path, address, model_config_file=config_file, predict_timeout_ms=1000) as gateway:
        statuses = ask_in_every_way(gateway)
        assert gateway.post("/v1/feedback", {"request_id": "v1", "row": 1, "label": 4}).status_code == 202
        assert gateway.post("/v1/nope", ROW).status_code == 400
        wait_for(lambda: gateway.is_settled(len(statuses)))
        assert is_exact(gateway.counts())
        assert [(row.request_id, row.row, row.label) for row in gateway.feedback()] == [("v1", 1, "4")]
        found = gateway.predictions()
    rows = {row.request_id: row for row in found}
    assert len(found) == len(statuses)
    assert Counter(row.status for row in found) == Counter(statuses.values())
    assert {row.dialect for row in found} == {"tfserving", "openinference", "simple"}

    first = rows["v1"]
    assert (first.model, first.version, first.signature, first.dialect) == ("m", 1, "serving_default", "tfserving")
    assert (first.rows, first.batch_rows, first.cache, first.trace_id) == (2, 2, "off", TRACE)
    assert (first.bytes_in, first.bytes_out, first.sample_rate, first.arm) == (31, 37, 1.0, "stable")
    assert first.total_us >= first.backend_us > 0
    np.testing.assert_array_equal(tensors.decode(first.inputs)["x"], np.array([[1, 2], [3, 4]], np.float32))
    np.testing.assert_array_equal(tensors.decode(first.outputs)["y"], np.array([[2, 4], [6, 8]], np.float32))
    assert tensors.decode(rows["large"].inputs)["x"].summary.mean == 1.5
    examples = tensors.decode(rows["classify"].inputs)["inputs"]
    assert [(b"\x01a" in example, b"\x01b" in example) for example in examples] == [(True, False), (True, True)]
    assert tensors.decode(rows["classify"].outputs)["scores"].tolist() == [[1.0], [2.0]]
    errors = {row.error: row for row in found if row.error}
    assert errors.keys() == {"INVALID_ARGUMENT", "NOT_FOUND", "UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"}
    assert all((row.outputs, row.batch_rows) == (None, None) for row in errors.values())
    assert tensors.decode(errors["CANCELLED"].inputs)["x"].tolist() == [[9.0, 9.0]]
    assert errors["NOT_FOUND"].model == "nope"
    assert errors["NOT_FOUND"].inputs is None


@pytest.mark.parametrize("error_rate", [0, 1])
def test_a_refusal_is_an_error_row_only_if_its_key_is_known(tmp_path, error_rate):
    keys = tmp_path / "keys.jsonl"
    few, few_key = make_key("few", limits="2/day")
    small, small_key = make_key("small", limits="2/day;unit=row")
    narrow, narrow_key = make_key("narrow", models=("n*",))
    reads, reads_key = make_key("reads", scopes=("metadata",))
    write(keys, few_key, small_key, narrow_key, reads_key)
    settings = {"keys_file": keys, "prediction_log_sample_errors": error_rate, "workers": 1}
    with logged_gateway(tmp_path, f"sqlite:///{tmp_path}/log.db", **settings) as gateway:

        def ask(text: str, number: int = 1, rows: int = 1) -> list[int]:
            body, headers = {"instances": [[1, 2]] * rows}, {"X-API-Key": text}
            return [gateway.post(V1, body, headers=headers).status_code for _ in range(number)]

        assert ask("", 20) + ask("sgk_none", 20) + ask(make_key()[0], 20) == [401] * 60
        assert ask(reads) == [403]
        assert ask(few, 4) == [200, 200, 429, 429]
        assert ask(small, rows=3) == [429]
        assert ask(narrow) == [403]
        wait_for(lambda: gateway.is_settled(6))
        assert is_exact(gateway.counts())
        found = gateway.predictions()
    errors = [("few", 429, "RESOURCE_EXHAUSTED")] * 2
    errors += [("narrow", 403, "PERMISSION_DENIED"), ("small", 429, "RESOURCE_EXHAUSTED")]
    assert [(row.key, row.status) for row in found if not row.error] == [("few", 200)] * 2
    assert sorted((row.key, row.status, row.error) for row in found if row.error) == errors * error_rate


@pytest.mark.parametrize("unit", ["request", "row"])
def test_a_refusal_of_an_address_is_no_row_but_one_of_the_model_server_is(tmp_path, unit):
    settings = {"address_limits": f"2/day;unit={unit}", "workers": 1}
    with logged_gateway(tmp_path, f"sqlite:///{tmp_path}/log.db", **settings) as gateway:
        gateway.fake.failures += [(grpc.StatusCode.RESOURCE_EXHAUSTED, "full")]
        assert [gateway.post(V1, ROW).status_code for _ in range(20)] == [429, 200] + [429] * 18
        wait_for(lambda: gateway.is_settled(2))
        assert is_exact(gateway.counts())
        found = gateway.predictions()
    assert sorted((row.key, row.status) for row in found) == [(None, 200), (None, 429)]


def test_the_tail_shows_features_prediction_and_time(tmp_path):
    address = f"sqlite:///{tmp_path}/log.db"
    with logged_gateway(tmp_path, address, workers=1) as gateway:
        gateway.post(V1, ROW, headers={"X-Request-Id": "mine"})
        wait_for(gateway.predictions)
        environment = os.environ | {"GATEWAY_PREDICTION_LOG": address}
        told = subprocess.run(
            [sys.executable, "-m", "gateway", "log", "tail"],
            cwd=ROOT,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
        [head, line] = told.stdout.splitlines()
    assert head.split() == ["TIME", "STATUS", "MODEL", "MS", "INPUTS", "OUTPUTS", "REQUEST"]
    time, status, model, _, inputs, outputs, request_id = line.split()
    assert time.startswith("20")
    assert (status, model, inputs, outputs, request_id) == ("200", "m/1", "x=[[1.0,2.0]]", "y=[[2.0,4.0]]", "mine")


def test_a_kept_answer_has_no_call_and_a_shared_call_has_the_rows_of_all(tmp_path):
    address = f"sqlite:///{tmp_path}/log.db"
    settings = {"workers": 1, "cache": "m:100:60s", "batch_proofs": 0, "batch_max_rows": 8}
    with logged_gateway(tmp_path, address, **settings) as gateway:
        gateway.post(V1, ROW)
        gateway.post(V1, ROW)
        gateway.fake.release.clear()
        with ThreadPoolExecutor(9) as pool:
            first = pool.submit(gateway.post, V1, {"instances": [[10, 0]]})
            wait_for(lambda: predict_calls(gateway) == 2)
            others = [pool.submit(gateway.post, V1, {"instances": [[20, number]]}) for number in range(8)]
            wait_for(lambda: predict_calls(gateway) == 3)  # a batch that is full waits for no other
            gateway.fake.release.set()
            assert {answer.result().status_code for answer in (first, *others)} == {200}
        wait_for(lambda: gateway.is_settled(11))
        rows = gateway.predictions()
    assert Counter((row.cache, row.batch_rows) for row in rows) == {("miss", 1): 2, ("hit", None): 1, ("miss", 8): 8}
    assert all(row.queue_us > 0 for row in rows if row.batch_rows == 8)


def predict_calls(gateway) -> int:
    return gateway.fake.calls.count("Predict")


def test_requests_with_one_id_are_kept_or_left_out_together(tmp_path):
    address = f"sqlite:///{tmp_path}/log.db"
    settings = {"prediction_log_sample": 0.5, "prediction_log_sample_errors": 0.5}
    with logged_gateway(tmp_path, address, **settings) as gateway:
        for number in range(40):
            for document in (ROW, {"instances": "none"}):
                gateway.post(V1, document, headers={"X-Request-Id": f"id-{number}"})
        wait_for(lambda: gateway.is_settled(80))
        counts, rows = gateway.counts(), gateway.predictions()
    assert is_exact(counts)
    assert counts["written"] == len(rows)
    assert 0 < counts["unsampled"] < 80
    assert set(Counter(row.request_id for row in rows).values()) == {2}
    assert {row.sample_rate for row in rows} == {0.5}


def test_what_is_in_flight_at_a_stop_is_answered_and_then_written(address, tmp_path):
    with logged_gateway(tmp_path, address, batch_max_rows=0) as gateway:
        gateway.fake.release.clear()
        with ThreadPoolExecutor(4) as pool:
            ids = {f"stop-{number}" for number in range(4)}
            answers = [pool.submit(gateway.post, V1, ROW, headers={"X-Request-Id": request_id}) for request_id in ids]
            wait_for(lambda: predict_calls(gateway) == 4)
            gateway.process.process.send_signal(signal.SIGTERM)
            gateway.fake.release.set()
            assert {answer.result().status_code for answer in answers} == {200}
        assert gateway.process.process.wait(20) == 0
        assert ids <= {row.request_id for row in gateway.predictions()}
        assert "Traceback" not in gateway.log.read_text()


@pytest.mark.parametrize("make_outage", [sqlite_locked, postgres_hangs], ids=lambda outage: outage.__name__)
def test_a_stop_gives_up_rows_that_cannot_be_written_and_says_how_many(make_outage, tmp_path):
    with make_outage(tmp_path) as outage, logged_gateway(tmp_path, outage.address, workers=1) as gateway:
        gateway.post(V1, ROW)
        wait_for(lambda: gateway.is_settled(1))
        outage.begin()
        for _ in range(5):
            assert gateway.post(V1, ROW).status_code == 200
        gateway.process.process.send_signal(signal.SIGTERM)
        assert gateway.process.process.wait(20) == 0
        stopped = [event for event in gateway.events() if event["event"] == "prediction_log.stopped"]
        assert [event["lost"] for event in stopped] == [5]
        assert "Traceback" not in gateway.log.read_text()
        outage.end()


def test_a_killed_worker_leaves_gaps_for_what_it_dropped_and_loses_but_the_tail(tmp_path):
    with (
        sqlite_locked(tmp_path) as outage,
        logged_gateway(tmp_path, outage.address, workers=1, prediction_log_queue_bytes=65_536) as gateway,
    ):
        gateway.post(V1, ROW)
        wait_for(lambda: gateway.is_settled(1))
        outage.begin()
        for _ in range(150):
            assert gateway.post(V1, ROW).status_code == 200
        outage.end()
        wait_for(lambda: gateway.is_settled(151))
        gateway.post(V1, ROW)
        wait_for(lambda: gateway.is_settled(152))
        gateway.post(V1, ROW)
        dropped = gateway.counts()["dropped_full"]
        [worker] = gateway.workers
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: gateway.workers not in ([worker], []))
        wait_for(gateway.is_ready)
        gateway.post(V1, ROW)
        wait_for(lambda: len({row.boot for row in gateway.predictions()}) == 2)
        rows = gateway.predictions()
        old = [row.seq for row in rows if row.boot == rows[0].boot]
        assert dropped > 0
        # The last one of the old worker was written within the time of a flush, or not.
        assert (len(old), max(old)) in ((152 - dropped, 152), (153 - dropped, 153))
        counts = gateway.counts()
        assert counts["offered"] - counts["written"] - counts["dropped_full"] in (0, 1)


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("GATEWAY_PREDICTION_LOG", f"mysql://anna:{PASSWORD}@db/log", "expected sqlite:///file, postgresql://"),
        ("DATABASE_URL", f"mysql://anna:{PASSWORD}@db/log", "expected sqlite:///file, postgresql://"),
        ("GATEWAY_PREDICTION_LOG", f"postgresql://anna:{PASSWORD}@db:port/log", "an address that cannot be read"),
        ("GATEWAY_PREDICTION_LOG", "sqlite://", "got no file"),
        ("GATEWAY_PREDICTION_LOG", "file://log", "the absolute path of a folder"),
        ("GATEWAY_PREDICTION_LOG", "on", "expected sqlite:///file"),
        ("GATEWAY_PREDICTION_LOG_SAMPLE", "2", "expected"),
        ("GATEWAY_PREDICTION_LOG_SAMPLE_ERRORS", "0.1,m:x", "expected"),
        ("GATEWAY_PREDICTION_LOG_VALUES", "some", "expected small, none or all"),
        ("GATEWAY_PREDICTION_LOG_KEEP", "30", "such as 30d"),
        ("GATEWAY_PREDICTION_LOG_QUEUE_BYTES", "1", "expected"),
    ],
)
def test_a_bad_setting_stops_the_start_with_one_line_that_names_it_and_no_password(variable, value, expected):
    ended = subprocess.run(
        [sys.executable, "-m", "gateway"],
        cwd=ROOT,
        env=os.environ | {variable: value},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    [line] = [line for line in ended.stderr.splitlines() if variable in line]
    assert expected in line
    assert "Traceback" not in ended.stderr
    assert PASSWORD not in ended.stdout + ended.stderr


def test_a_database_that_is_away_does_not_stop_the_start(tmp_path):
    with postgres(is_started=False) as server, logged_gateway(tmp_path, server.address(), workers=1) as gateway:
        assert gateway.post(V1, ROW).status_code == 200
        [away] = [event for event in gateway.events() if event["event"] == "prediction_log.away"]
        assert away["level"] == "warning"
        assert PASSWORD not in gateway.log.read_text()
        server.start()
        wait_for(lambda: gateway.is_settled(1))
        assert len(gateway.predictions()) == 1


def test_the_memory_of_a_worker_is_bounded_while_the_database_is_away(tmp_path):
    """Some requests fill the queue. A thousand more take no further memory."""
    settings = {"workers": 1, "prediction_log_queue_bytes": 2**20, "prediction_log_values": "all"}
    with logged_gateway(tmp_path, "postgresql://postgres@127.0.0.1:1/none", **settings) as gateway:
        body = {"instances": [[1, 2]] * 2000}
        session = threading.local()

        def ask(_):
            mine = session.__dict__.setdefault("http", requests.Session())
            return mine.post(gateway.url + V1, json=body, timeout=30).status_code

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(ask, range(300))) == {200}
            [worker] = gateway.workers
            before = rss_bytes(worker)
            assert set(pool.map(ask, range(1000))) == {200}
        wait_for(lambda: gateway.counts()["offered"] == 1300)
        grown = rss_bytes(worker) - before
        counts = gateway.counts()
        assert is_exact(counts)
        assert counts["dropped_full"] > 1000
        print(f"grown by {grown} bytes")
        assert grown < 2**20 + 10 * 2**20


def rss_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
