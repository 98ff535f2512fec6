"""``python -m benchmarks scaling``: an autoscaler that is simulated, and model servers that come, go and fail under load."""

import click

from benchmarks.scaling import live, simulate


@click.group("scaling")
def commands() -> None:
    """More than one gateway and model server: simulated, and live."""


commands.add_command(simulate.simulate)
commands.add_command(live.measure_live)
