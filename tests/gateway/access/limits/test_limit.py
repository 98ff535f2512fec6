"""Limits as text."""

import pytest

from gateway.access.limits.limit import Limit, parse_limits

S = 10**9


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("100/day", Limit("100/day", 100, 86400 * S)),
        (" 30 / hour ", Limit("30/hour", 30, 3600 * S)),
        ("600/min;burst=50", Limit("600/min;burst=50", 600, 60 * S, burst=50)),
        ("20000/min; unit=row", Limit("20000/min;unit=row", 20000, 60 * S, "row")),
        ("5/s;unit=model_ms;per=model", Limit("5/s;unit=model_ms;per=model", 5, S, "model_ms", per_model=True)),
        ("7/15minutes", Limit("7/15minutes", 7, 900 * S)),
        ("parallel=8", Limit("parallel=8", 8, 0)),
        ("parallel=8;per=model", Limit("parallel=8;per=model", 8, 0, per_model=True)),
    ],
)
def test_a_limit_is_read(text, expected):
    assert parse_limits(text) == (expected,)


def test_semicolons_separate_limits_and_options_and_an_option_belongs_to_the_limit_before_it():
    limits = parse_limits("100/day; 600/min; burst=50; parallel=8; 20000/min; unit=row; burst=5000; parallel=2; per=model")
    texts = ["100/day", "600/min;burst=50", "parallel=8", "20000/min;unit=row;burst=5000", "parallel=2;per=model"]
    assert [limit.text for limit in limits] == texts


@pytest.mark.parametrize("period", ["s", "sec", "second", "seconds", "min", "minute", "minutes", "h", "hour", "hours", "day"])
def test_every_name_of_a_period_is_known(period):
    assert parse_limits(f"3/{period}")[0].period_ns > 0


@pytest.mark.parametrize(
    ("text", "is_window"),
    [
        ("256/min", True),
        ("257/min", False),
        ("10/min;burst=5", False),
        ("10/min;unit=row", False),
        ("parallel=3", False),
        ("10/min;per=model", True),
    ],
)
def test_small_numbers_of_requests_are_counted_one_by_one(text, is_window):
    (limit,) = parse_limits(text)
    assert limit.is_window is is_window
    assert limit.is_rate is not (is_window or limit.is_parallel)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "",
            "expected a limit such as '100/day' or 'parallel=8', or an option burst=, unit= or per=,"
            " with semicolons between them, got ''",
        ),
        ("100", "got '100'"),
        ("100/fortnight", "'100/fortnight': expected a period of s, sec, second, min, minute, h, hour, day, got 'fortnight'"),
        ("5/MIN", "'5/MIN': expected a period of s, sec, second, min, minute, h, hour, day, got 'MIN'"),
        ("1.5/min", "'1.5/min': the amount: expected a whole number from 1 to 1000000000000, got '1.5'"),
        ("5/min burst=3", "with semicolons between them, got '5/min burst=3'"),
        ("5/min;burst=2;burst=3", "expected burst once for a limit, got a second one, '3'"),
        ("5/min;unit=row;burst=2;unit=byte", "expected unit once for a limit, got a second one, 'byte'"),
        ("parallel=5;parallel=6", "'parallel=5;parallel=6': expected parallel= once, got a second one"),
        ("parallel=5;per=model;parallel=6;per=model", "expected parallel= once, got a second one"),
        ("0/day", "'0/day': the amount: expected a whole number from 1 to 1000000000000, got '0'"),
        ("1000000000001/day", "the amount: expected a whole number from 1 to"),
        ("3/32day", "'3/32day': expected a period of at most 31 days"),
        ("3/99999999999999999999day", "periods: expected a whole number from 1 to"),
        (
            "burst=5; 3/day",
            "'burst=5; 3/day': expected a limit such as '100/day' or 'parallel=8' before its option, got burst=5",
        ),
        ("600/min;burst=0", "burst: expected a whole number from 1 to"),
        ("1/31day;burst=1000", "burst: expected a whole number from 1 to 1, got '1000'"),
        ("600/min;unit=token", "unit: expected one of request, row, byte, model_ms, got 'token'"),
        ("600/min;per=user", "per: expected model, got 'user'"),
        ("parallel=8;burst=2", "burst: expected a limit with a period before it, got 'parallel=8'"),
        ("parallel=x", "parallel: expected a whole number from 1 to"),
        ("5/min;;6/h", "got ''"),
        ("5/min; 5/min", "'5/min; 5/min': expected each limit once, got '5/min' twice"),
        ("5/min;color=red", "or an option burst=, unit= or per=, with semicolons between them, got 'color=red'"),
        ("٣/day", "the amount: expected a whole number from 1 to 1000000000000, got '٣'"),
    ],
)
def test_a_wrong_limit_says_what_was_expected_and_what_came(text, message):
    with pytest.raises(ValueError) as raised:  # noqa: PT011 (the message is compared)
        parse_limits(text)
    assert message in str(raised.value)
