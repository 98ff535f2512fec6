"""``python -m benchmarks scaling simulate``: an autoscaler by requests in flight, under loads that jump and that swing."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

import click

from benchmarks.contender import ROOT
from benchmarks.rollouts.told import table
from benchmarks.scaling import picture
from benchmarks.scaling.hpa import Policy, Rules
from benchmarks.scaling.service_curve import ServiceCurve, recorded
from benchmarks.scaling.simulation import Load, Look, Pods, Summary, simulated, sine, step, summary

PAGE: Final = ROOT / "docs" / "scaling.md"
PLOT: Final = ROOT / "docs" / "scaling_hpa.svg"
HOURS: Final = 4.0
SEED: Final = 14
_MOST: Final = 10
OF_THE_KNEE: Final = 0.7
RECOMMENDED: Final = "70 % of the knee, one a minute down"
ABOVE: Final = "twice the knee, one a minute down"
AT_ONCE: Final = "70 % of the knee, 0 s instead of 300 s"
DEFAULTS: Final = "70 % of the knee, Kubernetes' own policies"
_SHOWN: Final = (("step", RECOMMENDED), ("step", ABOVE), ("sine", RECOMMENDED), ("sine", ABOVE), ("sine", AT_ONCE))
_BEGIN: Final = "<!-- simulated -->\n"
_END: Final = "<!-- /simulated -->\n"
Runs: TypeAlias = Mapping[tuple[str, str], Sequence[Look]]
_HEADS: Final = ("load and rules", "pods", "changes", "flaps", "refused", "over the knee", "pod hours")


def loads(curve: ServiceCurve) -> dict[str, Load]:
    """A load that jumps to five times as much and back every 45 minutes, and one that swings as far and back in an hour."""
    low, high = (round(share * curve.peak, -3) for share in (1.1, 5.4))
    return {"step": step(low, high, 2700.0), "sine": sine(low, high, 3600.0)}


def rules(curve: ServiceCurve) -> dict[str, Rules]:
    """What is recommended, and what others do."""
    target = OF_THE_KNEE * curve.knee
    slow = Rules(target, most=_MOST, up=(Policy(30.0, share=1.0),), down=(Policy(60.0, pods=1),))
    return {
        RECOMMENDED: slow,
        ABOVE: replace(slow, target=2 * curve.knee),
        AT_ONCE: replace(slow, down_window_s=0.0),
        DEFAULTS: Rules(target, most=_MOST),
    }


@click.command("simulate")
@click.option("--hours", default=HOURS, show_default=True, type=click.FloatRange(0.1, 1000), help="Of each load.")
@click.option("--seed", default=SEED, show_default=True, help="The same seed gives the same figures.")
@click.option("--start-s", default=30.0, show_default=True, type=click.FloatRange(0, 3600), help="Until a pod is ready.")
@click.option("--keep", is_flag=True, help="Also write the table and the plot of docs/scaling.md.")
def simulate(hours: float, seed: int, start_s: float, keep: bool) -> None:
    """Print what a HorizontalPodAutoscaler does by requests in flight. Nothing is started."""
    curve = recorded()
    runs = simulations(curve, hours, seed, start_s)
    text = f"{about(curve)}\n\n{figures(curve, runs)}"
    click.echo(text)
    if keep:
        PAGE.write_text(with_figures(PAGE.read_text(encoding="utf-8"), text), encoding="utf-8")
        PLOT.write_text(plot(curve, runs), encoding="utf-8")


def simulations(curve: ServiceCurve, hours: float = HOURS, seed: int = SEED, start_s: float = 30.0) -> Runs:
    """What there was at each look, by load and rules."""
    return {
        (load, rule): simulated(rates, limits, curve, hours=hours, seed=seed, pods=Pods(start_s))
        for load, rates in loads(curve).items()
        for rule, limits in rules(curve).items()
    }


def about(curve: ServiceCurve) -> str:
    """What is simulated: the recorded curve, and the target."""
    target = OF_THE_KNEE * curve.knee
    return (
        f"one gateway: knee at {curve.knee:.0f} requests in flight ({curve.rate(curve.knee):,.0f} requests/s), "
        f"peak {curve.peak:,.0f} requests/s\n"
        f"target: 70 % of the knee = {target:.0f} in flight, which is {curve.rate(target):,.0f} requests/s"
    )


def figures(curve: ServiceCurve, runs: Runs) -> str:
    """A line for each run."""
    load = loads(curve)
    rows = [[f"{name}: {rule}", *_cells(summary(looks, load[name], curve.knee))] for (name, rule), looks in runs.items()]
    return table(_HEADS, rows)


def with_figures(page: str, text: str) -> str:
    """The page with ``text`` between its two marks. Raises ValueError when it does not have them."""
    before, _, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not end:
        raise ValueError(f"{PAGE.name} has no {_BEGIN.strip()} ... {_END.strip()}")
    return f"{before}{_BEGIN}```text\n{text}\n```\n{end}{after}"


def plot(curve: ServiceCurve, runs: Runs) -> str:
    """The picture: the pods that some of the runs had, and those that their load needed."""
    needed = curve.rate(OF_THE_KNEE * curve.knee)
    load = loads(curve)
    panels = {
        f"{name}: {rule}": (
            [(look.at_s, float(look.pods)) for look in runs[name, rule]],
            [(look.at_s, load[name](look.at_s) / needed) for look in runs[name, rule][::4]],
        )
        for name, rule in _SHOWN
    }
    return picture.pods_svg("Pods of two loads", panels)


def _cells(found: Summary) -> list[str]:
    return [
        f"{found.least}-{found.most}",
        str(found.changes),
        str(found.flaps),
        f"{found.refused:.2%}",
        f"{found.over_the_knee:.1%}",
        f"{found.pod_hours:.0f}",
    ]
