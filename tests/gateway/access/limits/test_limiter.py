"""Admission in its three steps, and what the headers say."""

import http_sf
import pytest

from gateway.access.limits.limiter import Limiter
from gateway.access.limits.table import LimitTable
from gateway.errors import RateLimited, ResourceExhausted

S = 10**9


class Clock:
    def __init__(self):
        self.ns = 10**15

    def __call__(self):
        return self.ns


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def limited():
    return []


@pytest.fixture
def limiter(clock, limited):
    table = LimitTable(1000)
    table.join()
    return Limiter(table, limited=lambda unit, scope: limited.append((unit, scope)), clock_ns=clock)


def subjects(limits, scope="key", name="app"):
    return scope, name, limits


def parsed(headers, name):
    """The members of a list of RFC 9651, as pairs of the name and its parameters."""
    return [tuple(member) for member in http_sf.parse(dict(headers)[name].encode(), tltype="list")]


def test_a_request_counts_for_all_of_its_limits_or_for_none(limiter):
    both = subjects("2/hour; 5/day")
    limiter.admit(*both)
    limiter.admit(*both)
    for _ in range(10):
        with pytest.raises(RateLimited):
            limiter.admit(*both)
    assert parsed(limiter.admit(*subjects("5/day")).headers(), "RateLimit")[0][1]["r"] == 2


def test_a_caller_has_a_count_of_its_own(limiter):
    limiter.admit(*subjects("1/hour"))
    limiter.admit(*subjects("1/hour", name="other"))
    limiter.admit(*subjects("1/hour", scope="address"))
    with pytest.raises(RateLimited):
        limiter.admit(*subjects("1/hour"))


def test_a_limit_per_model_counts_each_model_apart(limiter):
    each = subjects("1/hour;per=model; 3/hour")
    limiter.admit(*each, "digits")
    with pytest.raises(RateLimited, match="per=model"):
        limiter.admit(*each, "digits")
    limiter.admit(*each, "letters")
    limiter.admit(*each, "words")
    with pytest.raises(RateLimited, match="'3/hour'"):
        limiter.admit(*each, "more")


def test_no_limits_say_nothing_and_refuse_nothing(limiter):
    admission = limiter.admit(*subjects(""))
    admission.charge(10**6, 10**9)
    admission.close(10**6)
    assert admission.headers() == ()


def test_rows_and_bytes_are_counted_when_they_are_known(limiter, clock, limited):
    caller = subjects("100/min; 1000/min;unit=row; 4096/min;unit=byte")
    admission = limiter.admit(*caller)
    admission.charge(900, 96)
    assert [(name, member["r"]) for name, member in parsed(admission.headers(), "RateLimit")] == [
        ("100/min", 99),
        ("1000/min;unit=row", 100),
        ("4096/min;unit=byte", 4000),
    ]
    second = limiter.admit(*caller)
    with pytest.raises(RateLimited) as refused:
        second.charge(101, 10)
    assert limited == [("row", "key")]
    headers = dict(refused.value.headers)
    assert headers["Retry-After"] == "1"  # a row every 60 ms
    third = limiter.admit(*caller)
    third.charge(100, 4000)
    assert parsed(third.headers(), "RateLimit")[2][1]["r"] == 0


def test_a_request_that_no_time_would_let_in_is_told_so(limiter):
    admission = limiter.admit(*subjects("1000/min;unit=row;burst=50"))
    with pytest.raises(RateLimited) as refused:
        admission.charge(51, 0)
    assert refused.value.message == "rate limit '1000/min;unit=row;burst=50': the request has 51 rows, expected at most 50"
    assert "Retry-After" not in dict(refused.value.headers)


def test_the_models_time_is_charged_after_the_answer_and_a_debt_is_waited_for(limiter, clock):
    caller = subjects("1000/min;unit=model_ms")
    limiter.admit(*caller).close(2500)
    with pytest.raises(RateLimited) as refused:
        limiter.admit(*caller)
    assert dict(refused.value.headers)["Retry-After"] == "91"  # 1501 ms at 1000 a minute
    clock.ns += 91 * S
    limiter.admit(*caller)


def test_an_answer_from_the_cache_costs_a_request_and_none_of_the_models_time(limiter):
    caller = subjects("5/min; 10/min;unit=model_ms")
    for _ in range(3):
        admission = limiter.admit(*caller)
        admission.charge(1, 10)
        admission.close()
    assert [member["r"] for _, member in parsed(admission.headers(), "RateLimit")] == [2, 10]


def test_requests_at_a_time_are_given_back_once(limiter, limited):
    caller = subjects("parallel=2")
    first, second = limiter.admit(*caller), limiter.admit(*caller)
    with pytest.raises(RateLimited):
        limiter.admit(*caller)
    assert limited == [("parallel", "key")]
    first.close()
    first.close()
    third = limiter.admit(*caller)
    with pytest.raises(RateLimited):
        limiter.admit(*caller)
    second.close()
    third.close()
    assert parsed(limiter.admit(*caller).headers(), "RateLimit") == [("parallel=2", {"r": 1})]


def test_a_refused_request_takes_no_place_of_those_at_a_time(limiter):
    caller = subjects("parallel=1; 1/hour")
    limiter.admit(*caller).close()
    for _ in range(3):
        with pytest.raises(RateLimited, match="'1/hour'"):
            limiter.admit(*caller)


def test_headers_are_lists_of_rfc_9651_which_name_the_limits(limiter, clock):
    headers = limiter.admit(
        *subjects("100/day; 600/min;burst=50; parallel=8; 20/2h;unit=row; 9/s;unit=byte; 7/s;unit=model_ms")
    ).headers()
    assert parsed(headers, "RateLimit-Policy") == [
        ("100/day", {"q": 100, "w": 86400}),
        ("600/min;burst=50", {"q": 600, "w": 60}),
        ("parallel=8", {"q": 8, "qu": "concurrent-requests"}),
        ("20/2h;unit=row", {"q": 20, "w": 7200, "qu": "rows"}),
        ("9/s;unit=byte", {"q": 9, "w": 1, "qu": "content-bytes"}),
        ("7/s;unit=model_ms", {"q": 7, "w": 1, "qu": "model-milliseconds"}),
    ]
    assert parsed(headers, "RateLimit") == [
        ("100/day", {"r": 99, "t": 86400}),
        ("600/min;burst=50", {"r": 49, "t": 1}),
        ("parallel=8", {"r": 7}),
        ("7/s;unit=model_ms", {"r": 7, "t": 0}),
    ]


@pytest.mark.parametrize("limits", ["3/hour", "300/hour;burst=3", "3/hour; 1000/day;burst=5"])
def test_a_refusal_says_when_to_come_back_and_a_request_that_does_is_admitted(limiter, clock, limits):
    caller = subjects(limits)
    refusals = 0
    while refusals < 5:
        try:
            limiter.admit(*caller)
        except RateLimited as refused:
            headers = dict(refused.headers)
            left = parsed(refused.headers, "RateLimit")
            assert max(member["t"] for _, member in left if member["r"] == 0) == int(headers["Retry-After"])
            clock.ns += (int(headers["Retry-After"]) - 1) * S
            with pytest.raises(RateLimited):
                limiter.admit(*caller)
            clock.ns += S
            refusals += 1
            limiter.admit(*caller)
        clock.ns += S // 10


def test_a_refusal_is_an_error_of_the_tree_and_names_the_limit(limiter):
    limiter.admit(*subjects("1/hour"))
    with pytest.raises(ResourceExhausted) as refused:
        limiter.admit(*subjects("1/hour"))
    assert refused.value.http_status == 429
    assert refused.value.message == "rate limit '1/hour' is used up: try again in 3600 s"


def test_an_error_in_between_leaves_the_lock_free(limiter):
    class Broken(Exception):
        pass

    def broken():
        raise Broken

    table = LimitTable(16)
    table.join()
    with pytest.raises(Broken):
        Limiter(table, clock_ns=broken).admit(*subjects("1/hour"))
    Limiter(table).admit(*subjects("1/hour"))
