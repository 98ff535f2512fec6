"""What `make bench-peers` rests on and can be shown without installing a peer: pins, commands, bodies, the shared model."""

import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import environments
from benchmarks.contender import JSON, NPY, ROOT
from benchmarks.peers import instances
from benchmarks.peers.model import Model

PEERS = {peer.name: peer for peer in environments.peers()}
PINNED = re.compile(r"[A-Za-z0-9_.-]+==[0-9][A-Za-z0-9_.]*(; .+)?")


def test_these_peers_take_part():
    assert set(PEERS) == {"bentoml", "litserve", "mlserver", "mosec", "ray_serve"}


@pytest.mark.parametrize("name", PEERS)
def test_a_peers_environment_is_pinned_whole_with_the_projects_own_tensorflow(name):
    requirements = PEERS[name].requirements
    assert [line for line in requirements if not PINNED.fullmatch(line)] == []
    (ours,) = re.findall(r'"(tensorflow-cpu==[^;]+);', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert ours in {line.partition(";")[0] for line in requirements}


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_runs_in_its_own_environment_from_a_program_that_exists(name, tmp_path):
    contender = PEERS[name].contender(18080, tmp_path / "dense" / "1", tmp_path)
    assert (contender.name, contender.port, contender.backends) == (name, 18080, ())
    assert Path(contender.front.argv[0]).parent == tmp_path / "bin"
    (program,) = (word.partition(":")[0] for word in contender.front.argv if word.startswith("benchmarks."))
    assert ROOT.joinpath(*program.split(".")).with_suffix(".py").is_file()
    assert contender.front.environment["BENCHMARK_SAVED_MODEL"] == str(tmp_path / "dense" / "1")


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_is_asked_in_json_whatever_the_number_of_dimensions(name, tmp_path):
    contender = PEERS[name].contender(18080, tmp_path / "dense" / "1", tmp_path)
    for shape in ((1, 10), (3, 4, 5, 2)):
        call = contender.encodings[JSON].ask(np.ones(shape, np.float32))
        assert call.body.count(b"1.0") == np.prod(shape)
        assert call.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("encoding", [JSON, NPY])
def test_the_shared_body_carries_every_bit_both_ways(encoding):
    sent = np.random.default_rng(5).normal(size=(7, 3, 2)).astype(np.float32)
    way = instances.encodings("/", npy=True)[encoding]
    assert np.array_equal(instances.rows(way.ask(sent).body), sent)
    assert np.array_equal(way.read(instances.answer(sent)), sent)


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"x": [1]}', b'{"instances": [[1], [1, 2]]}', b'{"instances": "a"}', b"\x93NUMPY"]
)
def test_a_body_that_holds_no_array_is_refused(body):
    with pytest.raises((ValueError, KeyError, TypeError)):
        instances.rows(body)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Model:
    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="pair")])
    def weigh(pair):
        return {"weight": pair[:, 0] * 10 + pair[:, 1]}

    folder = tmp_path_factory.mktemp("weigh")
    tf.saved_model.save(tf.Module(), str(folder), signatures=weigh)
    return Model(str(folder))


def test_requests_that_share_a_call_get_their_own_predictions(model):
    drawn = np.random.default_rng(6)
    requests = [drawn.normal(size=(rows, 2)).astype(np.float32) for rows in (1, 3, 2, 64, 1)]
    together = model.each(requests)
    assert len(together) == len(requests)
    for request, answer in zip(requests, together, strict=True):
        np.testing.assert_array_equal(answer, model(request))
        np.testing.assert_allclose(answer, request[:, 0] * 10 + request[:, 1], rtol=1e-5)
