"""Whatever some clients send, the others get their own answers, and only those."""

import json
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import requests

from tests.gateway.server.http_wire import Wire, parse

PIPELINERS, PIPELINED = 4, 300
GOOD_CLIENTS = 6
GOOD_CALLS = 60
FUZZERS = 4
PATHS = ("/v1/models/dense:predict", "/v1/models/basket:predict", "/predict/dense", "/v2/models/dense/infer")


def good(stack, session, number: int) -> None:
    """A request whose answer tells whose it is."""
    row = {"sku": f"client-{number}", "quantity": number % 100 + 1, "unit_price": 0.5, "express": False}
    request_id = f"good-{number}"
    response = session.post(
        f"{stack.address}/v1/models/basket:predict",
        data=json.dumps({"instances": [row] * (number % 3 + 1)}),
        headers={"X-Request-Id": request_id},
        timeout=30,
    )
    assert response.status_code == 200, response.text
    assert response.headers["X-Request-Id"] == request_id
    predictions = response.json()["predictions"]
    assert len(predictions) == number % 3 + 1
    for prediction in predictions:
        assert f"client-{number} " in prediction["summary"]
        assert prediction["total"] == row["quantity"] * 0.5


def fuzzed(dice: random.Random) -> bytes:
    """A body that is good but for a few bytes, cut short, or noise."""
    base = dice.choice(
        [
            {"instances": [[dice.random() for _ in range(10)]]},
            {"instances": [{"sku": "fuzz", "quantity": 1, "unit_price": 1.0, "express": True}] * dice.randrange(1, 4)},
            {"features": [0.5] * 10},
            {"inputs": [{"name": "features", "datatype": "FP32", "shape": [dice.randrange(4), 10], "data": [0.5] * 10}]},
        ]
    )
    body = bytearray(json.dumps(base).encode())
    for _ in range(dice.randrange(4)):
        body[dice.randrange(len(body))] = dice.randrange(256)
    return bytes(body[: dice.randrange(1, len(body) + 1)] if dice.random() < 0.3 else body)


def fuzz(stack, seed: int, stop: threading.Event) -> set[int]:
    dice, statuses = random.Random(seed), set()
    with requests.Session() as session:
        while not stop.is_set():
            response = session.post(stack.address + dice.choice(PATHS), data=fuzzed(dice), timeout=30)
            statuses.add(response.status_code)
            # None of the good clients' words in an answer to this one.
            assert b"client-" not in response.content
    return statuses


def test_fuzzed_bodies_and_good_clients_do_not_see_each_other(stack):
    stop = threading.Event()

    def good_client(first: int) -> None:
        with requests.Session() as session:
            for number in range(first, first + GOOD_CALLS):
                good(stack, session, number)

    with ThreadPoolExecutor(GOOD_CLIENTS + FUZZERS) as pool:
        fuzzers = [pool.submit(fuzz, stack, seed, stop) for seed in range(FUZZERS)]
        try:
            for client in [pool.submit(good_client, number * 1000) for number in range(GOOD_CLIENTS)]:
                client.result(60)
        finally:
            stop.set()
        statuses = set().union(*(fuzzer.result(60) for fuzzer in fuzzers))
    assert {200, 400} <= statuses <= {200, 400, 404}


def pipelined(stack, client: int) -> list[tuple[int, bytes | None, list]]:
    """Send all requests of a client on one connection, in pieces that end anywhere; status, id and predictions of each."""
    dice = random.Random(client)
    sent = b"".join(with_id(basket(client, number), f"{client}-{number}") for number in range(PIPELINED))
    with Wire(stack.gateway_port) as wire:

        def send() -> None:
            place = 0
            while place < len(sent):
                size = dice.randrange(1, 1500)
                wire.sock.sendall(sent[place : place + size])
                place += size

        sender = threading.Thread(target=send)
        sender.start()
        received = bytearray()
        while received.count(b"HTTP/1.1 ") < PIPELINED or not received.endswith(b"}"):
            piece = wire.sock.recv(1 << 16)
            assert piece, received[-500:]
            received += piece
        sender.join()
    answers, rest = parse(bytes(received))
    assert rest == b""
    return [(answer.status, answer.header(b"x-request-id"), json.loads(answer.body)["predictions"]) for answer in answers]


def basket(client: int, number: int) -> bytes:
    row = {"sku": f"{client}-{number}", "quantity": number % 50 + 1, "unit_price": 0.5, "express": False}
    return json.dumps({"instances": [row] * (number % 3 + 1)}).encode()


def with_id(body: bytes, request_id: str) -> bytes:
    head = b"POST /v1/models/basket:predict HTTP/1.1\r\nHost: h\r\nX-Request-Id: %s\r\nContent-Length: %d\r\n\r\n"
    return head % (request_id.encode(), len(body)) + body


def test_clients_that_pipeline_and_split_their_requests_get_their_own_answers_in_their_order(stack):
    with ThreadPoolExecutor(PIPELINERS) as pool:
        answered = list(pool.map(lambda client: pipelined(stack, client), range(PIPELINERS)))
    for client, answers in enumerate(answered):
        assert len(answers) == PIPELINED
        for number, (status, request_id, predictions) in enumerate(answers):
            assert (status, request_id) == (200, f"{client}-{number}".encode())
            assert len(predictions) == number % 3 + 1
            for prediction in predictions:
                assert f" {client}-{number} " in prediction["summary"]
                assert prediction["total"] == (number % 50 + 1) * 0.5
