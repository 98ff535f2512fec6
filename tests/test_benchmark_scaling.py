"""The simulated autoscaler: its arithmetic, the recorded curve behind it, and what docs/scaling.md shows of it."""

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import cli
from benchmarks.errors import BenchError
from benchmarks.reporting.results import Results
from benchmarks.scaling import simulate
from benchmarks.scaling.hpa import Autoscaler, Policy, Rules, wanted_pods
from benchmarks.scaling.service_curve import MOST_IN_FLIGHT, ServiceCurve, recorded
from benchmarks.scaling.simulation import Look, Pods, flaps, simulated, sine, step

RULES = Rules(target=10.0)
CURVE = ServiceCurve({1: 100.0, 10: 800.0, 20: 1000.0, 200: 1100.0})


@pytest.mark.parametrize(
    ("pods", "values", "wanted"),
    [
        (4, [10.0] * 4, 4),
        (4, [10.9] * 4, 4),
        (4, [9.1] * 4, 4),
        (4, [11.5] * 4, 5),
        (4, [20.0] * 4, 8),
        (4, [4.0] * 4, 2),
        (4, [], 4),
        # Two that start count as idle: 2 * 25 / 4 is 12.5 in each.
        (4, [25.0] * 2, 5),
        # With them there would be enough.
        (4, [15.0] * 2, 4),
        # Two without a metric count as busy: (2 + 2 * 10) / 4 is 5.5 in each.
        (4, [1.0] * 2, 3),
    ],
)
def test_the_pods_that_are_wanted_have_the_targets_mean(pods, values, wanted):
    assert wanted_pods(RULES, pods, values) == wanted


def counts(rules: Rules, means: list[float], pods: int) -> list[int]:
    """The pods after each look, 15 s apart, when every pod has the same metric."""
    autoscaler, found = Autoscaler(rules), []
    for number, mean in enumerate(means):
        pods = autoscaler.look(15.0 * number, pods, [mean] * pods)
        found.append(pods)
    return found


def test_by_default_pods_come_four_at_a_time_or_twice_as_many():
    assert counts(RULES, [1000.0] * 4, 2) == [6, 12, 24, 30]


def test_a_policy_counts_what_came_in_all_of_its_period():
    slower = Rules(target=10.0, up=(Policy(30.0, share=1.0),))
    assert counts(slower, [1000.0] * 5, 2) == [4, 4, 8, 8, 16]


def test_pods_go_when_nothing_in_300_s_wanted_them():
    busy, idle = [10.0], [1.0] * 22
    found = counts(RULES, busy + idle, 10)
    assert found[:21] == [10] * 21
    assert found[21] == 2


def test_a_policy_takes_one_a_minute():
    rules = Rules(target=10.0, down_window_s=0.0, down=(Policy(60.0, pods=1),))
    assert counts(rules, [1.0] * 9, 10) == [9, 9, 9, 9, 8, 8, 8, 8, 7]


def test_the_bounds_are_kept():
    assert counts(Rules(target=10.0, least=3, most=7, down_window_s=0.0), [1000.0, 1000.0, 0.0, 0.0], 3) == [7, 7, 3, 3]


def test_the_curve_goes_through_what_was_recorded_and_never_falls():
    assert [CURVE.rate(count) for count in (1, 10, 20, 200)] == pytest.approx([100.0, 800.0, 1000.0, 1100.0], rel=0.01)
    assert CURVE.rate(0.5) == pytest.approx(50.0, rel=0.01)
    assert ServiceCurve({1: 100.0, 10: 900.0, 20: 500.0}).rate(20) == pytest.approx(900.0, rel=0.01)


def test_in_flight_is_the_reverse_of_the_rate_up_to_the_peak():
    assert CURVE.in_flight(CURVE.rate(15.0)) == pytest.approx(15.0, rel=0.01)
    assert CURVE.in_flight(CURVE.peak) == MOST_IN_FLIGHT


def test_the_knee_is_where_more_in_flight_begins_to_be_a_longer_wait():
    """Requests/s squared by requests in flight are 10,000, 64,000, 50,000 and 6,050."""
    assert CURVE.knee == pytest.approx(10.0, rel=0.01)


def test_the_curve_is_that_of_the_kept_results():
    curve = recorded()
    assert sorted(curve.recorded)[0] == 1
    assert 1 < curve.knee < curve.in_flight(0.999 * curve.peak)


def test_without_results_there_is_no_curve():
    with pytest.raises(BenchError, match="--only rows"):
        recorded(Results({}, {}))


def look(at_s: float, pods: int) -> Look:
    return Look(at_s, 0.0, pods, pods, 0.0, 0.0)


def test_pods_that_come_again_for_the_same_load_are_a_flap():
    numbers = [2, 4, 3, 2, 4, 4, 3, 4]
    assert flaps([look(15.0 * number, pods) for number, pods in enumerate(numbers)], lambda at_s: 1.0) == 2
    assert flaps([look(15.0 * number, pods) for number, pods in enumerate(numbers)], lambda at_s: 1.05 ** (at_s / 15)) == 1


def test_what_comes_above_the_peak_is_refused_until_pods_are_ready():
    looks = simulated(lambda at_s: 5000.0 if at_s >= 60 else 800.0, RULES, CURVE, hours=0.2, seed=1, pods=Pods(start_s=30.0))
    refusing = [one.at_s for one in looks if one.refused]
    assert refusing[:2] == [60.0, 75.0]
    assert looks[-1].refused == 0
    assert looks[-1].ready == looks[-1].pods >= 5


def test_the_same_seed_is_the_same_run():
    run = [simulated(sine(500.0, 3000.0, 600.0), RULES, CURVE, hours=0.5, seed=seed) for seed in (1, 1, 2)]
    assert run[0] == run[1] != run[2]


def test_the_loads_are_what_they_are_called():
    assert [step(1.0, 5.0, 10.0)(at_s) for at_s in (0.0, 9.9, 10.0, 20.0)] == [1.0, 1.0, 5.0, 1.0]
    assert [sine(1.0, 5.0, 10.0)(at_s) for at_s in (0.0, 5.0, 10.0)] == pytest.approx([1.0, 5.0, 1.0])


@pytest.mark.parametrize("load", ["step", "sine"])
def test_at_70_percent_of_the_knee_pods_do_not_flap(load):
    """In 16 hours. One pod may come again by chance, at most every two hours."""
    assert flaps_in_16_hours(load, simulate.RECOMMENDED) <= 8


@pytest.mark.parametrize(("load", "rule"), [("step", simulate.ABOVE), ("sine", simulate.ABOVE), ("sine", simulate.AT_ONCE)])
def test_above_the_knee_and_without_stabilisation_pods_flap(load, rule):
    assert flaps_in_16_hours(load, rule) >= 24


def flaps_in_16_hours(load: str, rule: str) -> int:
    curve = recorded()
    rates, limits = simulate.loads(curve)[load], simulate.rules(curve)[rule]
    return sum(flaps(simulated(rates, limits, curve, hours=4.0, seed=seed), rates) for seed in range(4))


def test_the_page_shows_what_the_command_prints_and_draws():
    """After new results: `python -m benchmarks scaling simulate --keep`."""
    curve = recorded()
    runs = simulate.simulations(curve)
    page = simulate.PAGE.read_text(encoding="utf-8")
    assert simulate.with_figures(page, f"{simulate.about(curve)}\n\n{simulate.figures(curve, runs)}") == page
    assert simulate.plot(curve, runs) == simulate.PLOT.read_text(encoding="utf-8")


def test_a_page_without_its_marks_is_not_written():
    with pytest.raises(ValueError, match="simulated"):
        simulate.with_figures("# A page\n", "")


def test_the_command_prints_a_line_for_each_load_and_rule():
    result = CliRunner().invoke(cli, ["scaling", "simulate", "--hours", "0.5"])
    assert result.exit_code == 0, result.output
    for rule in (simulate.RECOMMENDED, simulate.ABOVE, simulate.AT_ONCE, simulate.DEFAULTS):
        assert result.output.count(rule) == 2
