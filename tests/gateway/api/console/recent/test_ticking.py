"""What the ticks tell: everything that is counted, once, whoever records it and whatever the clock does."""

import pytest
import structlog

from gateway.api.console.recent.counts import FAILED, REFUSED, REQUESTS, ROWS, WIDTH
from gateway.api.console.recent.own_place import OwnPlace
from gateway.api.console.recent.ring import KEPT_S, Ring
from gateway.api.console.recent.shared_place import SharedPlace
from gateway.api.console.recent.tick import MOST_MODELS, MOST_VERSIONS, Tick, tick_of
from gateway.telemetry.reading.numbers import Key
from tests.gateway.api.console.recent.counted import Counted
from tests.gateway.api.console.recent.test_places import NO_ROOM, files_up_to


@pytest.fixture
def counted():
    return Counted()


def ticks(place):
    return [tick_of(line) for line in place.reader().read()[1]]


def total(place, column=REQUESTS) -> int:
    return sum(tick.total[column] for tick in ticks(place))


def test_a_tick_has_what_was_counted_since_the_one_before(counted):
    place = OwnPlace()
    ticking = counted.ticking(place)
    counted.ask(count=100)  # before anybody recorded
    ticking.tick((), {})
    counted.ask(count=3)
    counted.ask(status=404, count=2)
    counted.ask("other", "7", status=503)
    counted.set("gateway_in_flight_requests", value=4)
    counted.set("gateway_queue_rows", "other", value=9)
    counted.set("gateway_queue_rows", "m", value=0)
    counted.go_on(2)
    ticking.tick((), {})
    [tick] = ticks(place)
    assert tick.span_s == 2
    assert [tick.total[column] for column in (REQUESTS, FAILED, REFUSED, ROWS)] == [6, 1, 2, 3]
    assert [(model, version, row[:4]) for model, version, row in tick.rows] == [
        ("m", "1", [5, 0, 2, 3]),
        ("other", "7", [1, 1, 0, 0]),
    ]
    assert (tick.in_flight, tick.queue_rows) == (4, {"other": 9})


def test_refusals_for_want_of_room_are_failures_of_no_model(counted):
    place = OwnPlace()
    ticking = counted.ticking(place)
    ticking.tick((), {})
    counted.set("gateway_refusals_total", value=5)
    counted.go_on()
    ticking.tick((), {})
    [tick] = ticks(place)
    assert (tick.total[REQUESTS], tick.total[FAILED], tick.rows) == (5, 5, [])


def test_another_recorder_goes_on_where_the_first_one_stopped(counted, tmp_path):
    place = SharedPlace(tmp_path)
    first = counted.ticking(place)
    first.tick((), {})
    for _ in range(5):
        counted.ask(count=2)
        counted.go_on()
        first.tick((), {})
    counted.ask(count=7)  # while nobody recorded
    counted.go_on(3)
    second = counted.ticking(SharedPlace(tmp_path))
    second.tick((), {})
    counted.ask(count=1)
    counted.go_on()
    second.tick((), {})
    assert [(tick.total[REQUESTS], tick.span_s) for tick in ticks(place)] == [*[(2, 1)] * 5, (7, 3), (1, 1)]
    assert [tick.rows is None for tick in ticks(place)] == [*[False] * 5, True, False]


def test_counters_never_fall(counted):
    """A number that was in memory only is lost with its worker."""
    place = OwnPlace()
    ticking = counted.ticking(place)
    counted.ask(count=10)
    ticking.tick((), {})
    for key in list(counted.numbers):
        counted.numbers[key] -= 5
    counted.ask("n", count=1)
    counted.go_on()
    ticking.tick((), {})
    [tick] = ticks(place)
    assert min(tick.total) >= 0
    assert [model for model, _, _ in tick.rows] == ["n"]


def test_the_most_active_models_are_told_and_all_are_in_the_total(counted):
    place = OwnPlace()
    ticking = counted.ticking(place)
    ticking.tick((), {})
    for number in range(1000):
        for version in range(3):
            counted.ask(f"model{number}", str(version), count=1 + number)
    counted.go_on()
    ticking.tick((), {"model0": "plan"})
    [tick] = ticks(place)
    models = {model for model, _, _ in tick.rows}
    assert len(tick.rows) <= MOST_VERSIONS + 3
    assert len(models) <= MOST_MODELS + 1
    assert models - {"model0"} == {f"model{999 - place}" for place in range(len(models) - 1)}
    assert "model0" in models  # one that is rolled out is always told
    assert tick.total[REQUESTS] == 3 * sum(range(1, 1001))


def test_times_follow_the_clock_and_stay_in_order_when_it_goes_back(counted):
    place = OwnPlace()
    ticking, ring = counted.ticking(place), Ring(place)
    ticking.tick((), {})
    for _ in range(5):
        counted.ask()
        counted.go_on()
        ticking.tick((), {})
    ring.read()
    before = ring.times()
    counted.unix_s -= 3600
    for _ in range(5):
        counted.ask()
        counted.go_on()
        ticking.tick((), {})
    ring.read()
    after = ring.times()
    assert after[-1] == counted.unix_s
    assert after.tolist() == [counted.unix_s - back for back in range(9, -1, -1)]
    assert before[-1] > after[-1]
    assert total(place) == 10


def test_times_stay_the_same_while_the_clock_is_slewed(counted):
    place = OwnPlace()
    ticking, ring = counted.ticking(place), Ring(place)
    ticking.tick((), {})
    shown = []
    for _ in range(5):
        counted.unix_s += 0.01
        counted.go_on()
        ticking.tick((), {})
        ring.read()
        shown.append(ring.times()[0])
    assert len(set(shown)) == 1


def test_ticks_are_the_further_apart_the_more_they_cost(counted):
    ticking = counted.ticking(OwnPlace())
    assert ticking.tick((), {}) == 1
    for used_s, expected_s in ((0.02, 1), (0.02, 1), (0.02, 1), (0.02, 1), (0.02, 2), (5.0, 2)):
        counted.used_s = used_s
        counted.go_on()
        assert ticking.tick((), {}) == expected_s
    counted.used_s = 0.0
    counted.go_on()
    assert ticking.tick((), {}) == 1


def test_what_finds_no_room_is_in_the_next_tick(counted, tmp_path):
    place = SharedPlace(tmp_path)
    ticking = counted.ticking(place)
    ticking.tick((), {})
    for number in range(4):
        counted.ask(count=3)
        counted.go_on()
        if number == 1:
            with files_up_to(4), pytest.raises(OSError, match=NO_ROOM):
                ticking.tick((), {})
        else:
            ticking.tick((), {})
    assert [(tick.total[REQUESTS], tick.span_s) for tick in ticks(place)] == [(3, 1), (6, 2), (3, 1)]


def test_a_line_that_is_none_is_passed_over(counted, tmp_path):
    place = SharedPlace(tmp_path)
    ticking = counted.ticking(place)
    ticking.tick((), {})
    for broken in (b"{}\n", b"[1,2\n", b"\xff\n", b"[1.0,2.0,1.0,1.0,[1],[2.0],[],0,{}]\n"):
        place.append(broken)
    counted.go_on()
    ticking.tick((), {})
    ring = Ring(place)
    with structlog.testing.capture_logs() as told:
        assert ring.read()
    assert (len(ring.ticks), told) == (1, [])


def test_the_ring_keeps_ten_minutes(counted):
    place = OwnPlace()
    ticking, ring = counted.ticking(place), Ring(place)
    ticking.tick((), {})
    for number in range(1500):
        counted.ask(f"model{number % 90}", count=number + 1)
        counted.go_on()
        ticking.tick((), {})
        if number % 100 == 99 or number < 3:
            assert ring.read()
            assert len(ring.ticks) == min(number + 1, KEPT_S)
            tick, version, numbers = ring.rows(0)
            asked = range(max(0, number - 599), number + 1)
            assert [row[REQUESTS] for row in numbers.tolist()] == [one + 1 for one in asked]
            assert [ring.versions[place][0] for place in version] == [f"model{one % 90}" for one in asked]
            assert tick.tolist() == list(range(len(ring.ticks)))
    assert not ring.read()


def test_the_memory_of_the_ring_is_bounded_however_many_models_there_are():
    place = OwnPlace()
    ring = Ring(place)
    versions = [(f"model{number % 200}", str(number)) for number in range(MOST_VERSIONS)]
    before = 0
    for number in range(1500):
        rows = [(model, version, [1] * WIDTH) for model, version in versions]
        place.append(Tick(float(number), 0.0, 1.0, 1.0, [1] * WIDTH, [1.0] * WIDTH, rows, 0, {}).line())
        ring.read()
        if number == 700:
            before = ring.nbytes
    assert ring.nbytes == before
    assert before <= 2 * KEPT_S * MOST_VERSIONS * 4 * (WIDTH + 2)


def test_labels_that_nobody_knows_are_no_model(counted):
    place = OwnPlace()
    ticking = counted.ticking(place)
    ticking.tick((), {})
    counted.numbers[Key("gateway_requests_total", ("", "", "404", ""))] += 2
    counted.go_on()
    ticking.tick((), {})
    [tick] = ticks(place)
    assert (tick.total[REFUSED], tick.rows[0][:2]) == (2, ("", ""))
