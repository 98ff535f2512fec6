"""Compressed bodies: read, refused in upstream's words, and never more memory than the body limit allows."""

import contextlib
import gzip
import io
import json
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.body import inflate
from gateway.api.memory import LARGE_BYTES, SMALL_BYTES, Shares
from gateway.errors import InvalidArgument, PayloadTooLarge

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


def large(size: int = LARGE_BYTES + 1, row: str = "[1, 2]") -> bytes:
    """A good body (unless ``row`` is bad) of so many bytes."""
    return f'{{"instances": [{row}]}}'.encode().ljust(size)


def medium(row: str = "[1, 2]") -> bytes:
    return large(SMALL_BYTES + 1, row)


def shares_of(client) -> list[Shares]:
    memory = client.http.application.extensions["gateway"].memory
    return [memory._large, memory._medium]


def is_all_given_back(client) -> bool:
    return all(shares._free == shares.total for shares in shares_of(client))


def chunked(data: bytes) -> dict[str, object]:
    """For werkzeug's test client: ``data`` with no length announced, as a server gives it that has undone the chunks."""
    environ = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}
    return {"input_stream": io.BytesIO(data), "environ_overrides": environ}


SENT = {
    "gzip": lambda data: {"data": gzip.compress(data), "headers": GZIP},
    "chunked": chunked,
    "plain": lambda data: {"data": data},
}


@pytest.mark.parametrize("send", SENT.values(), ids=SENT)
def test_only_a_body_that_is_large_needs_a_share_however_it_is_sent(make_client, send):
    client = make_client(predict_timeout_ms=300, batch_max_rows=0)
    large_shares, _ = shares_of(client)

    def post(data: bytes):
        return client.http.post("/v1/models/m:predict", **send(data))

    large_shares._free = 0
    assert [post(data).status_code for data in (ROW, medium())] == [200, 503 if send is SENT["gzip"] else 200]
    refused = post(large())
    assert (refused.status_code, refused.json["error"]) == (503, "too many large bodies are in work")
    assert refused.headers["Retry-After"] == "1"
    large_shares._free = large_shares.total
    assert [post(data).json for data in (ROW, large())] == [{"predictions": [[2.0, 4.0]]}] * 2
    assert is_all_given_back(client)


def test_bodies_whose_size_shows_late_do_not_wait_for_each_other_for_ever(make_client):
    client = make_client(predict_timeout_ms=20_000, batch_max_rows=0)
    packed = {"data": gzip.compress(large(shares_of(client)[0].total)), "headers": GZIP}

    def post(index: int) -> int:
        http = client.http.application.test_client()
        return http.post("/v1/models/m:predict", **(packed if index % 2 else chunked(large()))).status_code

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(post, range(8))) == [200] * 8
    assert is_all_given_back(client)


class Vanishing(io.BytesIO):
    """The body of a client that goes away before its end."""

    def readinto(self, buffer) -> int:
        size = super().readinto(buffer)
        if not size:
            raise ConnectionResetError
        return size


ONE_BYTE_MORE = {"CONTENT_LENGTH": str(len(large()) + 1)}  # the test client would tell the length that there is
BINARY = {"Inference-Header-Content-Length": "2"}
ENDS = {
    "answered": ("/v1/models/m:predict", 200, {"data": large()}),
    "answered, medium": ("/v1/models/m:predict", 200, {"data": medium()}),
    "does not fit": ("/v1/models/m:predict", 400, {"data": large(row="[1], [1, 2]")}),
    "no JSON": ("/v1/models/m:predict", 400, {"data": large(row="[1, 2")}),
    "no such model": ("/v1/models/nope:predict", 404, {"data": large()}),
    "no examples": ("/v1/models/m:classify", 400, {"data": large()}),
    "strict": ("/predict/m", 400, {"data": large()}),
    "v2": ("/v2/models/m/infer", 400, {"data": large()}),
    "v2, binary": ("/v2/models/m/infer", 400, {"data": b"{}".ljust(LARGE_BYTES * 2), "headers": BINARY}),
    "npy": ("/v1/models/m:predict", 400, {"data": large(), "headers": {"Content-Type": "application/x-npy"}}),
    "gzip": ("/v1/models/m:predict", 200, {"data": gzip.compress(large()), "headers": GZIP}),
    "gzip, damaged": ("/v1/models/m:predict", 400, {"data": gzip.compress(large())[:-1], "headers": GZIP}),
    "gzip, too large": ("/v1/models/m:predict", 413, {"data": gzip.compress(large(5_000_000)), "headers": GZIP}),
    "chunked": ("/v1/models/m:predict", 200, chunked(large())),
    "chunked, too large": ("/v1/models/m:predict", 413, chunked(large(5_000_000))),
    "too large": ("/v1/models/m:predict", 413, {"data": large(5_000_000)}),
    "vanished": ("/v1/models/m:predict", 400, {"input_stream": Vanishing(large()), "environ_overrides": ONE_BYTE_MORE}),
}


@pytest.mark.parametrize("name", ENDS)
def test_however_a_request_ends_it_gives_back_all_that_it_held(make_client, name):
    client = make_client(max_body_bytes=4_000_000)
    path, status, sent = ENDS[name]
    assert client.http.post(path, **sent).status_code == status
    assert is_all_given_back(client)


def test_binary_data_takes_no_share_of_what_json_may_become(make_client):
    client = make_client(predict_timeout_ms=300)
    for shares in shares_of(client):
        shares._free = 0
    values = np.ones((200_000, 2), np.float32)
    file = io.BytesIO()
    np.save(file, values)
    as_npy = client.http.post("/v1/models/m:predict", data=file.getvalue(), headers={"Content-Type": "application/x-npy"})
    about = {"name": "x", "shape": [200_000, 2], "datatype": "FP32", "parameters": {"binary_data_size": values.nbytes}}
    head = json.dumps({"inputs": [about]}).encode()
    as_v2 = client.http.post(
        "/v2/models/m/infer", data=head + values.tobytes(), headers={"Inference-Header-Content-Length": str(len(head))}
    )
    assert (as_npy.status_code, as_v2.status_code) == (200, 200)
