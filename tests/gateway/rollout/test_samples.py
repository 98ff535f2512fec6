"""What a person reads of a request that both versions answered differently."""

from gateway.rollout.documents import explained_document, sample_document
from gateway.rollout.samples import sample_lines
from tests.gateway.rollout.plans import NOW, plan

ABOUT = {"request_id": "r1", "ts_us": NOW, "step": 0, "signature": "serving_default"}


def told(**sample) -> str:
    title, line = sample_lines(plan(), [ABOUT | sample], 3)
    assert title == "  samples of answers that differed:"
    return line.removeprefix("    2023-11-14 22:13:20 UTC, request r1: ")


def test_a_difference_is_told_with_its_output_its_size_and_both_values():
    difference = {"output": "y", "how": "2 of 8 values differ", "gap": 0.25, "stable": "1.0", "canary": "1.25"}
    assert told(**difference) == "output y: 2 of 8 values differ, by 0.25 at most (version 2: 1.0, version 3: 1.25)"


def test_a_difference_that_has_no_size_or_values_is_told_without_them():
    assert told(output="y", how="the shapes differ", gap=None, stable="[1]", canary="[2]") == (
        "output y: the shapes differ (version 2: [1], version 3: [2])"
    )
    assert told(output="y", how="only the canary gives it", gap=None, stable="", canary="") == (
        "output y: only the canary gives it"
    )


def test_an_error_of_the_canary_is_told():
    assert told(error="INTERNAL", message="it broke") == "version 3 answered INTERNAL (it broke)"


def test_what_an_older_gateway_has_kept_has_no_time():
    old = {"request_id": "", "output": "y", "how": "the dtypes differ"}
    assert sample_lines(plan(), [old], 3)[1] == "    request without an id: output y: the dtypes differ"
    assert sample_document(old) == old


def test_without_samples_there_are_no_lines():
    assert sample_lines(plan(), [], 3) == []


def test_a_tolerance_for_no_output_is_told_once_and_is_no_sample():
    note = {"unused_tolerances": ["nosuch"], "outputs": ["x", "y"]}
    assert sample_lines(plan(), [note, note], 3) == ["  no output has the tolerance of nosuch: the outputs are x, y"]
    differing = ABOUT | {"output": "y", "how": "the dtypes differ"}
    assert sample_lines(plan(), [note, differing], 3)[1] == "  samples of answers that differed:"
    document = explained_document(plan(), "so it is", [note, note, differing])
    assert (len(document["samples"]), document["unused_tolerances"]) == (1, ["nosuch"])
