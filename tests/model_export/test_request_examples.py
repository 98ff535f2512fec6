"""assets.extra/examples.json: what is written, and that the examples of the example models work."""

import json

import numpy as np
import pytest

from model_export import request_examples
from model_export.request_examples import MOST_BYTES, MOST_EXAMPLES, PATH, example, write

REQUIRED = {"half_plus_two", "dense", "digits", "basket"}


def read(folder):
    return json.loads((folder / PATH).read_text())


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([0.1, 1e-8], np.float32), [0.1, 1e-08]),
        (np.array([[1, 2]], np.int32), [[1, 2]]),
        (np.array(2**63 - 1, np.int64), 2**63 - 1),
        (np.array([True]), [True]),
        (np.array([b"text", "ä".encode(), b"\xff"], object), ["text", "ä", {"b64": "/w=="}]),
    ],
)
def test_elements_are_as_short_as_their_dtype_lets_them_be(array, expected):
    assert example("e", {"x": array})["inputs"] == {"x": expected}


def test_what_does_not_fit_is_left_out_and_counted(tmp_path):
    large = example("large", {"x": np.zeros(MOST_BYTES, np.int8)})
    small = example("small", {"x": np.zeros(1, np.int8)})
    assert write(tmp_path, [large, small]) == 1
    assert [one["name"] for one in read(tmp_path)] == ["small"]
    assert write(tmp_path, [small] * (MOST_EXAMPLES + 3)) == 3
    assert len(read(tmp_path)) == MOST_EXAMPLES
    assert (tmp_path / PATH).stat().st_size <= MOST_BYTES


def test_the_file_is_never_larger_than_the_gateway_reads(tmp_path):
    write(
        tmp_path, [example("e", {"x": np.zeros(size, np.int8)}) for size in (300_000, 30_000, 3_000, 300, 30, 3) for _ in "ab"]
    )
    assert (tmp_path / PATH).stat().st_size <= MOST_BYTES


def test_without_examples_there_is_no_file(tmp_path):
    assert write(tmp_path, []) == 0
    assert not (tmp_path / PATH).exists()


@pytest.mark.parametrize("name", sorted(REQUIRED))
def test_an_example_model_answers_its_examples(built, load, name):
    model = load(built / name / "1")
    found = read(built / name / "1")
    assert len({one["name"] for one in found}) == len(found) >= 2
    for one in found:
        answer = model(one["signature_name"], **one["inputs"])
        rows = len(next(iter(one["inputs"].values())))
        assert {len(array) for array in answer.values()} == {rows}


def test_the_digits_are_real_and_read_right(built, load):
    ten = next(one for one in read(built / "digits" / "1") if "0 to 9" in one["name"])
    images = np.array(ten["inputs"]["image"])
    assert (images.min(), images.max()) == (0, 16)
    assert list(load(built / "digits" / "1")("serving_default", **ten["inputs"])["label"]) == list(range(10))


def test_samples_of_a_publication_become_examples(built, tmp_path):
    from model_export.publishing.release import release
    from model_export.sampling import sample_file
    from model_export.sources.writers import writer_for

    lines = tmp_path / "samples.jsonl"
    lines.write_text('{"instances": [[1,2,3,4,5,6,7,8,9,10]]}\n{"instances": [[0,0,0,0,0,0,0,0,0,0.1]]}\n')
    write_model = writer_for(str(built / "dense" / "1"))
    release(tmp_path / "models", "mine", write_model, lambda step: None, sample_file.read(lines))
    found = read(tmp_path / "models" / "mine" / "1")
    assert [one["name"] for one in found] == ["samples.jsonl line 1", "samples.jsonl line 2"]
    assert found[1]["inputs"]["features"] == [[0.0] * 9 + [0.1]]
    release(tmp_path / "models", "mine", write_model, lambda step: None)
    assert [one["name"] for one in read(tmp_path / "models" / "mine" / "2")] == [
        one["name"] for one in read(built / "dense" / "1")
    ]


def test_the_gateway_reads_what_is_written(tmp_path):
    from gateway.api.console import examples

    write(tmp_path / "1", [])
    (tmp_path / "1").mkdir(exist_ok=True)
    write(tmp_path / "1", [example("e", {"x": np.ones(3, np.float32)})])
    assert json.loads(examples._read(tmp_path, 1, "m")) == read(tmp_path / "1")
    assert (MOST_BYTES, str(request_examples.PATH)) == (examples._MOST_BYTES, examples._FILE)
