"""Steps and parts of the requests as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rollout.plan import WHOLE, Step
from gateway.rollout.steps import DEFAULT_STEPS, duration_text, parse_share, parse_steps, parse_weight, share_text, steps_text


@pytest.mark.parametrize(
    ("text", "share"),
    [("0%", 0), ("0.01%", 100), ("0.5 %", 5_000), ("1%", 10_000), ("20%", 200_000), ("99.99%", 999_900), ("100%", WHOLE)],
)
def test_a_part_of_the_requests_is_a_percentage_of_two_decimals(text, share):
    assert parse_share(text) == share


@pytest.mark.parametrize("text", ["", "%", "1", "0.001%", "-1%", "100.01%", "101%", "1e1%", "10%%", "ten%", "1,5%"])
def test_another_text_is_no_part(text):
    with pytest.raises(ValueError, match="expected a part from 0% to 100%"):
        parse_share(text)


@pytest.mark.parametrize(("text", "share"), [("0.01%", 100), ("12.5 %", 125_000), ("99.99%", 999_900)])
def test_a_weight_is_a_part_between_nothing_and_everything(text, share):
    assert parse_weight(text) == share


@pytest.mark.parametrize("text", ["0%", "0.00%", "100%"])
def test_nothing_and_everything_are_no_weights(text):
    with pytest.raises(ValueError, match="expected a part over 0% and below 100%"):
        parse_weight(text)


@given(st.integers(0, WHOLE // 100).map(lambda hundredths: hundredths * 100))
def test_a_part_is_told_as_it_is_written(share):
    assert parse_share(share_text(share)) == share


def test_a_part_that_nobody_can_write_is_told_exactly():
    assert share_text(123) == "0.0123 %"


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("10%", (Step(100_000, 300),)),
        ("1%,10%:10m,50%:1h", (Step(10_000, 300), Step(100_000, 600), Step(500_000, 3600))),
        ("10%:manual", (Step(100_000, 0, True),)),
        ("10%:90s:manual, 50%:0s", (Step(100_000, 90, True), Step(500_000, 0))),
        ("0%:10m,0.01%:1d", (Step(0, 600), Step(100, 86_400))),
    ],
)
def test_steps_have_weights_times_and_gates(text, steps):
    assert parse_steps(text) == steps


def test_the_default_steps_are_told_as_they_are_written():
    assert steps_text(parse_steps(DEFAULT_STEPS)) == DEFAULT_STEPS


@pytest.mark.parametrize("text", ["10%:manual", "1%:90s:manual,2.5%:0s", "0%:1d,99.99%:5m"])
def test_steps_are_told_as_they_are_written(text):
    assert steps_text(parse_steps(text)) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a part"),
        ("10%,", "expected a part"),
        ("10%:10", "expected a time"),
        ("10%:31d", "expected a time"),
        ("10%:1m:2m", "expected a step"),
        ("10%:1m:auto", "expected a step"),
        ("10%,10%", "weights that rise with each step, got 10 % after 10 %"),
        ("10%,5%", "weights that rise"),
        ("10%,100%", "steps of less than 100%"),
        ("0%", "a step of more than 0%"),
        (",".join(f"{part}%" for part in range(1, 60)), "at most 50 steps"),
    ],
)
def test_steps_that_make_no_rollout_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_steps(text)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (59, "59s"), (90, "90s"), (600, "10m"), (7200, "2h"), (86_400, "1d")])
def test_a_time_is_told_in_its_largest_whole_unit(seconds, text):
    assert duration_text(seconds) == text
