"""Windows and rates against simulations that keep everything and count in fractions."""

from fractions import Fraction
from math import gcd

from hypothesis import given
from hypothesis import strategies as st

from gateway.access.limits.bucket import Bucket
from gateway.access.limits.in_flight import InFlight
from gateway.access.limits.window import Window

GAPS = st.lists(st.one_of(st.integers(0, 3), st.integers(0, 60), st.integers(0, 10**4)), max_size=120)
START_NS = 10**15  # some days after the machine started


def times(gaps):
    now = START_NS
    for gap in gaps:
        now += gap
        yield now


def window(amount, period_ns):
    return Window([0] * (5 + 256 * 3), 1, ring_at=4, stride=3, amount=amount, period_ns=period_ns)


@given(GAPS, st.integers(1, 12), st.integers(1, 100), st.integers(0, 5), st.integers(1, 4))
def test_a_window_admits_what_a_list_of_all_times_admits(gaps, amount, period_ns, others, gateways):
    counted, admitted = window(amount, period_ns), []
    share = min(max(1, amount // gateways), amount - others)
    for now in times(gaps):
        live = [at for at in admitted if at > now - period_ns]
        assert counted.room(now, others, gateways) == share - len(live)
        if others == 0 and gateways == 1:
            assert counted.seen() == (share - len(live), -(-(live[0] + period_ns - now) // 10**9) if live else 0)
        assert counted.report(now)["ages"] == [(now - at) // 1000 for at in live]
        if len(live) < share:
            assert counted.wait_ns(now, 1, others, gateways) == 0
            counted.take(now)
            admitted.append(now)
        elif share > 0:
            assert counted.wait_ns(now, 1, others, gateways) == live[-share] + period_ns - now
    for at in admitted:
        assert len([other for other in admitted if at <= other < at + period_ns]) <= amount


def bucket(amount, period_ns, burst):
    return Bucket([0] * 4, 1, amount=amount, period_ns=period_ns, burst=burst)


class Tokens:
    """A bucket of tokens, in fractions."""

    def __init__(self, amount, period_ns, burst):
        self.rate, self.burst = Fraction(amount) / Fraction(period_ns), burst
        self.level, self.at = Fraction(burst), START_NS

    def at_time(self, now):
        return min(Fraction(self.burst), self.level + (now - self.at) * self.rate)

    def take(self, now, cost):
        self.level, self.at = self.at_time(now) - cost, now


STEPS = st.lists(st.tuples(st.one_of(st.integers(0, 3), st.integers(0, 10**4)), st.integers(1, 9)), max_size=80)


@given(STEPS, st.integers(1, 10**6), st.integers(1, 10**5), st.integers(1, 40))
def test_a_rate_admits_what_a_bucket_of_tokens_in_fractions_admits(steps, amount, period_ns, burst):
    """Where the time for one is a whole number of ticks. Any other rate admits no more."""
    counted, tokens, admitted = bucket(amount, period_ns, burst), Tokens(amount, period_ns, burst), []
    is_exact = amount // gcd(amount, period_ns) <= 16
    now = START_NS
    for gap, wanted in steps:
        now, cost = now + gap, min(wanted, burst)
        level = tokens.at_time(now)
        wait_ns = counted.wait_ns(now, cost)
        if is_exact:
            assert counted.room(now) == level // 1
            assert tokens.at_time(now + wait_ns) >= cost
            assert wait_ns == 0 or tokens.at_time(now + wait_ns - 1) < cost
        has_room = counted.try_take(now, cost)
        assert has_room == (wait_ns == 0)
        if has_room:
            tokens.take(now, cost)
            admitted.append((now, cost))
    rate = Fraction(amount, period_ns)
    for number, (first, _) in enumerate(admitted):
        taken = 0
        for last, cost in admitted[number:]:
            taken += cost
            assert taken <= burst + (last - first) * rate


@given(STEPS, st.integers(10**3, 10**6), st.integers(1, 40))
def test_a_rate_that_is_rounded_is_lower_by_less_than_a_tick_for_each(steps, amount, burst):
    period_ns = 60 * 10**9
    counted, now = bucket(amount, period_ns, burst), START_NS
    slowest = Tokens(1, Fraction(period_ns, amount) + Fraction(1, 16), burst)
    for gap, wanted in steps:
        now, cost = now + gap * 10**4, min(wanted, burst)
        if slowest.at_time(now) >= cost:
            assert counted.try_take(now, cost)
            slowest.take(now, cost)


def test_asking_for_room_takes_nothing():
    counted = bucket(100, 1000, 1)
    assert counted.try_take(START_NS, 0)
    assert counted.try_take(START_NS, 1)
    assert not counted.try_take(START_NS, 0)
    assert counted.seen() == (0, 1)


def test_a_debt_of_a_rate_is_waited_for():
    counted = bucket(100, 1000, 10)
    counted.take(START_NS, 30)
    assert counted.room(START_NS) == -20
    assert counted.wait_ns(START_NS, 1) == 210
    assert counted.room(START_NS + 210) == 1


def test_a_debt_ends_within_a_year():
    cells = memoryview(bytearray(8 * 4)).cast("q")
    counted = Bucket(cells, 0, amount=1, period_ns=31 * 86400 * 10**9, burst=1)
    counted.take(START_NS, 10**6)
    assert counted.seen() == (0, 365 * 86400)


def test_what_is_given_back_never_makes_more_than_the_burst():
    counted = bucket(100, 1000, 10)
    counted.take(START_NS, 4)
    counted.take(START_NS, -9)
    assert counted.room(START_NS) == 10


@given(st.integers(1, 6), st.integers(1, 400))
def test_gateways_that_do_not_know_of_each_other_have_no_more_than_the_limit_together(gateways, amount):
    rates = [bucket(amount, 1000, amount) for _ in range(gateways)]
    windows = [window(min(amount, 256), 1000) for _ in range(gateways)]
    for meters, most in ((rates, amount), (windows, min(amount, 256))):
        taken = 0
        for meter in meters:
            while meter.wait_ns(START_NS, 1, 0, gateways) == 0:
                meter.take(START_NS, 1, gateways)
                taken += 1
        assert taken <= max(most, gateways)


def test_a_machine_that_has_run_for_years_counts():
    cells = memoryview(bytearray(8 * 4)).cast("q")
    at = 15 * 365 * 86400 * 10**9
    counted = Bucket(cells, 0, amount=10**12, period_ns=31 * 86400 * 10**9, burst=10**12)
    counted.take(at, 10**12)
    assert counted.room(at) == 0


def test_requests_in_flight_of_a_worker_that_died_do_not_count():
    cells = [0] * 100  # a row of 4, counts from 10 on, lives from 20 on
    cells[20:23] = [2, 7, 7]
    first, second = (InFlight(cells, 0, counts_at=10, stride=1, lives_at=20, worker=worker, amount=3) for worker in range(2))
    first.take(START_NS)
    second.take(START_NS)
    assert first.room(START_NS) == second.room(START_NS) == 1
    cells[22] = 8  # the second worker's next life
    assert first.room(START_NS) == 2
    second.take(START_NS)
    second.take(START_NS, -1)
    first.take(START_NS, -1)
    assert first.room(START_NS) == 3
