"""The ages that the settings and the commands take."""

import time

import pytest

from gateway.prediction_log import retention


@pytest.mark.parametrize(
    ("text", "seconds"), [("30d", 2_592_000), ("12h", 43_200), ("90m", 5400), ("45s", 45), ("999999d", 86_399_913_600)]
)
def test_an_age_is_a_number_and_a_unit(text, seconds):
    assert retention.parse_age(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "0d", "1.5h", "30 d", "30D", "1w", "1000000d", "٣d"])
def test_what_is_no_age_is_refused_in_words(text):
    with pytest.raises(ValueError, match="expected a number up to 999999 and a unit, such as 30d"):
        retention.parse_age(text)


def test_the_cutoff_is_so_long_ago():
    now = time.time_ns() // 1000
    assert now <= retention.cutoff_us(60) + 60_000_000 <= time.time_ns() // 1000
