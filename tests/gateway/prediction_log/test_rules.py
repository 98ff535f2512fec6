"""Which rows are kept, by model."""

import pytest

from gateway.prediction_log import rules
from gateway.prediction_log.rules import ByModel, Rules
from tests.gateway.prediction_log.making import random_id


@pytest.mark.parametrize(
    ("text", "model", "rate"),
    [
        ("0.1", "digits", 0.1),
        ("0.1,digits:1", "digits", 1.0),
        ("0.1,digits:1", "dense", 0.1),
        ("digits:0", "dense", 1.0),
        ("digits:0, .25", "dense", 0.25),
        ("exp-*:0.5,exp-2:1", "exp-2", 0.5),
        ("exp-2:1,exp-*:0.5", "exp-2", 1.0),
        ("0,Digits:1", "digits", 0.0),
    ],
)
def test_the_first_pattern_that_fits_decides_otherwise_the_value_for_all(text, model, rate):
    assert rules.parse_rates(text).of(model) == rate


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "'': expected a number from 0 to 1"),
        ("2", "'2': expected a number from 0 to 1"),
        ("1.5", "'1.5': expected a number from 0 to 1"),
        ("-0.1", "'-0.1': expected"),
        ("nan", "'nan': expected"),
        ("digits:", "'': expected"),
        (":1", "':1': expected the name or pattern of a model before the colon"),
        ("a b:1", "'a b:1': expected the name"),
        ("a:1,a:0", "'a' is named twice"),
        ("0.1,0.2", "expected one value for all other models, got 2"),
    ],
)
def test_a_bad_rate_is_refused_in_words(text, why):
    with pytest.raises(ValueError, match=r"(?s).*") as refusal:
        rules.parse_rates(text)
    assert why in str(refusal.value)


def test_values_are_read_by_model():
    values = rules.parse_values("none,digits:all")
    assert (values.of("digits"), values.of("dense")) == ("all", "none")
    with pytest.raises(ValueError, match="'some': expected small, none or all"):
        rules.parse_values("some")


def test_without_settings_all_rows_are_kept_with_small_values():
    rule = Rules().of("any")
    assert (rule.rate, rule.error_rate, rule.values) == (1.0, 1.0, "small")


def test_a_rate_keeps_its_share_of_ids():
    kept = sum(rules.is_kept(random_id(), 0.25) for _ in range(20_000))
    assert 4600 < kept < 5400  # six and a half standard deviations


def test_an_id_that_is_kept_at_a_rate_is_kept_at_every_higher_one():
    for request_id in (random_id() for _ in range(300)):
        decisions = [rules.is_kept(request_id, rate / 20) for rate in range(21)]
        assert decisions == sorted(decisions)
        assert (decisions[0], decisions[-1]) == (False, True)


def test_the_decision_is_the_documented_hash():
    """BLAKE2b with a digest of 8 bytes, read big-endian: another program can tell which ids are kept."""
    assert rules.is_kept("abc", 0.2) == (int("d8bb14d833d59559", 16) / 2**64 < 0.2)
    assert rules.is_kept("abc", 0.85) == (int("d8bb14d833d59559", 16) / 2**64 < 0.85)


def test_names_of_models_made_up_by_clients_take_no_memory_for_ever():
    asked = Rules(ByModel(0.5))
    for number in range(5000):
        asked.of(f"model-{number}")
    assert asked.of.cache_info().currsize <= 1024
