"""Compressed bodies: read, refused in upstream's words, and never more memory than the body limit allows."""

import contextlib
import gzip
import io
import json
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.body import LARGE_BODIES, LARGE_BYTES, inflate
from gateway.errors import InvalidArgument, PayloadTooLarge
from tests.waiting import wait_for

ROW = json.dumps({"instances": [[1, 2]]}).encode()
GZIP = {"Content-Encoding": "gzip"}
# What each dialect sends to say the same.
ROUTES = {"/v1/models/m:predict": ROW, "/predict": b'{"x": [1, 2]}'}


@pytest.mark.parametrize(("path", "body"), ROUTES.items())
@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP"])
def test_a_gzip_body_is_read(client, path, body, encoding):
    plain = client.post(path, body)
    packed = client.post(path, gzip.compress(body), headers={"Content-Encoding": encoding})
    assert (packed.status_code, packed.data) == (200, plain.data)
    assert "Content-Encoding" not in packed.headers


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (ROW, "it is damaged, or something else"),
        (b"", "ends too early"),
        (gzip.compress(ROW)[:-1], "ends too early"),
        (gzip.compress(ROW) + b"x", "bytes follow its end"),
        (zlib.compress(ROW), "it is damaged, or something else"),
        (gzip.compress(ROW)[:-8] + bytes(8), "it is damaged, or something else"),
    ],
    ids=["not gzip", "nothing", "cut", "more", "zlib", "checksum"],
)
def test_what_does_not_inflate_counts_as_empty_and_says_why(client, body, reason):
    response = client.post("/v1/models/m:predict", body, headers=GZIP)
    assert response.status_code == 400
    assert response.json["error"].startswith("JSON Parse error: The document is empty")
    assert reason in response.json["error"]


def test_a_bomb_is_refused_and_takes_no_more_memory_than_the_limit():
    bomb = gzip.compress(bytes(200 * 2**20), 9)
    tracemalloc.start()
    with pytest.raises(PayloadTooLarge, match="inflates to more than the limit of 1000000 bytes"):
        inflate(bomb, 1_000_000)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 10_000_000


@pytest.mark.parametrize("path", ROUTES)
def test_the_limit_of_bodies_is_that_of_what_they_inflate_to(make_client, config_file, path):
    client = make_client(model_config_file=config_file, max_body_bytes=1000)
    response = client.post(path, gzip.compress(b" " * 1001), headers=GZIP)
    assert response.status_code == 413
    assert "inflates to more than the limit of 1000 bytes" in response.text
    assert client.post(path, gzip.compress(ROUTES[path].ljust(1000)), headers=GZIP).status_code == 200


@given(st.binary(max_size=2000))
def test_inflating_undoes_compressing(data):
    assert inflate(gzip.compress(data), len(data)) == data


@given(st.binary(max_size=200))
def test_any_bytes_are_inflated_or_refused(data):
    with contextlib.suppress(InvalidArgument, PayloadTooLarge):
        assert len(inflate(data, 1000)) <= 1000


@pytest.mark.parametrize("path", ["/predict", "/v2/models/m/infer"])
@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, br"])
def test_the_strict_dialects_name_an_encoding_that_they_do_not_read(client, path, encoding):
    response = client.post(path, b"{}", headers={"Content-Encoding": encoding})
    assert response.status_code == 400
    assert f"Content-Encoding: expected gzip, deflate or none, got {encoding}" in response.text


def test_the_strict_dialects_read_deflate(client):
    response = client.post("/predict", zlib.compress(b'{"x": [1, 2]}'), headers={"Content-Encoding": "deflate"})
    assert response.json["prediction"] == [2.0, 4.0]


def test_only_so_many_large_bodies_are_in_work_at_a_time(make_client):
    """One more waits for a place, which a small one needs not."""
    client = make_client(predict_timeout_ms=20_000, batch_max_rows=0)
    large = json.dumps({"instances": [[1, 2]], "filler": " " * LARGE_BYTES})
    client.fake.release.clear()

    def post(body: str) -> int:
        return client.http.application.test_client().post("/v1/models/m:predict", data=body).status_code

    def calls() -> int:
        return client.fake.calls.count("Predict")

    with ThreadPoolExecutor(LARGE_BODIES + 2) as pool:
        answers = [pool.submit(post, large) for _ in range(LARGE_BODIES)]
        wait_for(lambda: calls() == LARGE_BODIES)
        answers.append(pool.submit(post, large))
        answers.append(pool.submit(post, json.dumps({"instances": [[1, 2]]})))
        wait_for(lambda: calls() == LARGE_BODIES + 1)
        client.fake.release.set()
        assert [answer.result(30) for answer in answers] == [200] * (LARGE_BODIES + 2)
    assert calls() == LARGE_BODIES + 2


def chunked(data: bytes) -> dict[str, object]:
    """For werkzeug's test client: ``data`` with no length announced, as a server gives it that has undone the chunks."""
    environ = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}
    return {"input_stream": io.BytesIO(data), "environ_overrides": environ}


SMALL_OR_LARGE = {
    "gzip": lambda data: {"data": gzip.compress(data), "headers": GZIP},
    "chunked": chunked,
    "plain": lambda data: {"data": data},
}


@pytest.mark.parametrize("send", SMALL_OR_LARGE.values(), ids=SMALL_OR_LARGE)
def test_only_a_body_that_is_large_needs_a_place_however_it_is_sent(make_client, send):
    client = make_client(predict_timeout_ms=300, batch_max_rows=0)
    places = client.http.application.extensions["gateway.large_bodies"]
    large = json.dumps({"instances": [[1, 2]], "filler": " " * LARGE_BYTES}).encode()

    def post(data: bytes):
        return client.http.post("/v1/models/m:predict", **send(data))

    for _ in range(LARGE_BODIES):
        assert places.acquire(blocking=False)
    assert post(ROW).status_code == 200
    refused = post(large)
    assert (refused.status_code, refused.json["error"]) == (503, "too many large bodies are in work")
    places.release()
    assert [post(data).json for data in (ROW, large)] == [{"predictions": [[2.0, 4.0]]}] * 2
