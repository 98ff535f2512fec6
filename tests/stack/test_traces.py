"""Traces over the whole stack: what a receiver gets of requests that share calls, and that it can do no request any harm."""

import http.client
import json
import os
import random
import re
import signal
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from gateway.telemetry.traceparent import parse_traceparent
from tests.gateway.tracing.otlp_receiver import Receiver, attributes, receiving
from tests.stack.checking_client import CheckingClient
from tests.waiting import free_port, wait_for

pytestmark = pytest.mark.stack

REQUESTS = 10_000 if os.environ.get("LONG_TESTS") else 640
MODEL = "/v1/models/half_plus_two:predict"
PREDICT = "tensorflow.serving.PredictionService/Predict"
TRACE = "0af7651916cd43dd8448eb211c80319c"
COUNTED = re.compile(r'gateway_traces(?:_dropped)?_total\{(?:outcome|reason)="(\w+)"\} (\S+)')


@pytest.fixture
def receiver():
    return Receiver()


@pytest.fixture
def traced(make_stack, make_gateway, receiver, monkeypatch):
    """Makes a gateway whose traces go to ``receiver``, or to ``endpoint``; with ``server`` its model server is its own."""
    with receiving(receiver) as address:

        def make(endpoint=None, environ=None, server=False, **settings):
            environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint or address, "TF_CPP_MAX_VLOG_LEVEL": "1"} | (environ or {})
            for name, value in environ.items():
                monkeypatch.setenv(name, value)
            return (make_stack if server else make_gateway)(**settings)

        yield make


class Rows:
    """Clients that ask for rows as the signature declares them, so that their requests share calls. Each answer is checked."""

    def __init__(self, port):
        self.port = port
        self.statuses = Counter()
        self.wrong = []

    def ask(self, seed, number):
        numbers = random.Random(seed)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        for _ in range(number):
            rows = [[numbers.randrange(-8000, 8000) / 8] for _ in range(numbers.randint(1, 3))]
            connection.request("POST", MODEL, json.dumps({"instances": rows}))
            answer = connection.getresponse()
            body = json.loads(answer.read())
            self.statuses[answer.status] += 1
            if body != {"predictions": [[value / 2 + 2] for (value,) in rows]}:
                self.wrong.append(body)
        connection.close()

    def ask_all(self, clients, number):
        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(self.ask, range(clients), [number // clients] * clients))


@contextmanager
def load(stack, number):
    """Run the block after ``number`` answers, with 64 clients that go on meanwhile."""
    with CheckingClient(stack.gateway_port) as client:
        wait_for(lambda: client.tally.answered.total() >= number, 110)
        yield client.tally


def is_right(tally):
    return set(tally.answered) == {200} and not tally.wrong and not tally.cut


def closed(stack):
    """What each worker said of its traces at its end."""
    return [event for event in stack.log_events() if event["event"] == "traces.closed"]


def counted(stack):
    text = stack.get("/metrics").text
    return {outcome: int(float(value)) for outcome, value in COUNTED.findall(text)}


def server_calls(stack):
    """The calls that the model server logged."""
    ended = stack.server.log.read_text().rpartition("\n")[0]
    lines = [line for line in ended.splitlines() if '"call.ended"' in line]
    return [json.loads(line) for line in lines]


def test_traces_of_requests_that_share_calls_fit_together(traced, receiver):
    stack = traced(server=True)
    clients = Rows(stack.gateway_port)
    clients.ask_all(64, REQUESTS)
    assert not clients.wrong
    assert set(clients.statuses) == {200}
    stack.gateway.stop()
    said = closed(stack)
    spans = receiver.spans
    of_requests = {span.span_id: span for span in receiver.of_requests() if "predict" in span.name}
    assert len(of_requests) == clients.statuses.total()
    assert sum(event["exported"] for event in said) == len(receiver.of_requests())
    assert [event["dropped"] for event in said] == [{"full": 0, "failed": 0, "stop": 0}] * 2

    assert len({span.span_id for span in spans}) == len(spans)
    assert len({span.trace_id for span in of_requests.values()}) == len(of_requests)
    parts = defaultdict(list)
    for span in spans:
        if span.parent_span_id:
            parent = of_requests[span.parent_span_id]
            assert span.trace_id == parent.trace_id
            assert parent.start_time_unix_nano <= span.start_time_unix_nano
            assert span.start_time_unix_nano <= span.end_time_unix_nano <= parent.end_time_unix_nano
            parts[span.parent_span_id].append(span.name)
    assert {name for names in parts.values() for name in names} == {"parse", "queue", "encode", PREDICT}
    for names in parts.values():
        assert len(names) == len(set(names)) >= 3

    calls = {span.span_id: span for span in spans if span.kind == Span.SPAN_KIND_CLIENT}
    there = {(span.span_id, link.span_id) for span in calls.values() for link in span.links}
    back = {(link.span_id, span.span_id) for span in of_requests.values() for link in span.links}
    assert there == back
    assert len(there) > len(of_requests) / 4  # most requests did share calls
    for span in calls.values():
        ids = {attributes(link)["inference.batch.id"] for link in span.links}
        assert len(ids) <= 1
        assert not ids or ids == {attributes(span)["inference.batch.id"]}
        for link in span.links:
            assert (of_requests[link.span_id].trace_id, link.trace_id) == (link.trace_id,) * 2
    # Every request is answered by a call in its own trace, or is linked to one in another's.
    answered = {span.parent_span_id for span in calls.values()} | {request for _, request in there}
    assert answered == set(of_requests)

    told = [parse_traceparent(call["traceparent"]) for call in server_calls(stack) if call["traceparent"]]
    assert Counter((parent.trace_id, parent.span_id) for parent in told) == Counter(
        (int.from_bytes(span.trace_id, "big"), int.from_bytes(span.span_id, "big")) for span in calls.values()
    )


def test_one_trace_goes_from_the_client_to_the_log_of_the_model_server(traced, receiver, tmp_path):
    stack = traced(server=True, prediction_log=f"file://{tmp_path}/predictions")
    headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "tracestate": "vendor=one"}
    answer = stack.post(MODEL, {"instances": [1.0, 2.0, 5.0]}, headers=headers)
    assert answer.status_code == 200
    stack.gateway.stop()
    (whole,) = (span for span in receiver.spans if span.parent_span_id.hex() == "b7ad6b7169203331")
    (called,) = receiver.named(PREDICT)
    assert (whole.trace_id.hex(), called.trace_id.hex(), called.trace_state) == (TRACE, TRACE, "vendor=one")
    assert called.parent_span_id == whole.span_id
    (logged,) = [event for event in stack.log_events() if event["event"] == "request" and event.get("trace_id") == TRACE]
    assert logged["id"] == answer.headers["X-Request-Id"] == attributes(whole)["gateway.request.id"]
    (call,) = [call for call in server_calls(stack) if call["traceparent"]]
    assert call["traceparent"] == f"00-{TRACE}-{called.span_id.hex()}-01"
    assert (call["api"], call["model"], call["status"]) == ("Predict", "half_plus_two", "OK")
    rows = "".join(path.read_text() for path in (tmp_path / "predictions").rglob("*") if path.is_file())
    assert f'"{TRACE}"' in rows


def test_of_requests_that_are_not_sampled_errors_and_slow_ones_are_traced(traced, receiver):
    stack = traced(environ={"OTEL_TRACES_SAMPLER": "always_off"}, server=True, workers=1, traces_slow_ms=400)
    assert stack.post(MODEL, {"instances": [1.0]}).status_code == 200
    assert stack.post(MODEL, {"instances": ["one"]}).status_code == 400
    stack.server.process.send_signal(signal.SIGSTOP)
    try:
        assert stack.post(MODEL, {"instances": [1.0]}).status_code in (503, 504)
    finally:
        stack.server.process.send_signal(signal.SIGCONT)
    stack.gateway.stop()
    (span,) = receiver.of_requests()
    assert span.status.code == 2
    (call,) = [call for call in server_calls(stack) if call["traceparent"]][:1]
    assert call["traceparent"].endswith("-00")


@pytest.mark.parametrize("trouble", ["hangs", "fails", "refuses"])
def test_a_receiver_in_trouble_fails_no_request_and_what_it_lacks_is_counted(traced, receiver, trouble):
    if trouble == "hangs":
        receiver.release.clear()
    receiver.status = 500
    stack = traced(endpoint=f"http://127.0.0.1:{free_port()}" if trouble == "refuses" else None)
    with load(stack, REQUESTS // 2) as tally:
        counts = counted(stack)
    assert set(counts) == {"kept", "exported", "full", "failed", "stop"}
    assert is_right(tally)
    assert stack.gateway.stop() == 0
    said = closed(stack)
    assert len(said) == 2
    assert sum(event["kept"] for event in said) >= tally.answered.total()
    for event in said:
        assert event["exported"] == 0
        assert event["kept"] == sum(event["dropped"].values())
    assert receiver.spans == []


def test_requests_of_workers_that_are_stopped_under_load_are_exported_or_counted(traced, receiver):
    stack = traced()
    with CheckingClient(stack.gateway_port) as client:
        wait_for(lambda: client.tally.answered.total() >= 500, 60)
        assert stack.gateway.stop() == 0
    said = closed(stack)
    assert len(said) == 2
    for event in said:
        assert event["kept"] == event["exported"] + sum(event["dropped"].values())
    assert len(receiver.of_requests()) == sum(event["exported"] for event in said)
    assert sum(event["kept"] for event in said) >= client.tally.answered[200]


@pytest.mark.parametrize("number", [1, 2])
def test_traces_may_go_to_one_file_of_all_workers(make_gateway, tmp_path, number):
    path = tmp_path / "traces.jsonl"
    stack = make_gateway(traces_file=path, workers=number)
    with load(stack, 300) as tally:
        pass
    stack.gateway.stop()
    spans = [
        span
        for line in path.read_text().splitlines()
        for of_resource in json.loads(line)["resourceSpans"]
        for of_scope in of_resource["scopeSpans"]
        for span in of_scope["spans"]
    ]
    assert sum(span["name"] == "POST /v1/models/{model}:predict" for span in spans) == tally.answered.total()
