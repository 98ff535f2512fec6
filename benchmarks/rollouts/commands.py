"""``python -m benchmarks rollouts``: rollouts that are simulated, and rollouts that are measured in running programs."""

import click

from benchmarks.rollouts import live, simulate


@click.group("rollouts")
def commands() -> None:
    """How versions are taken back and promoted: simulated, and live."""


commands.add_command(simulate.simulate)
commands.add_command(live.measure_live)
