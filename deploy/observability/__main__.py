"""``python -m deploy.observability``: writes the dashboard, and draws it from what a Prometheus has seen."""

import json
from pathlib import Path
from typing import Final

import click

from deploy.observability import picture
from deploy.observability.grafana import dashboard

FILE: Final = Path(__file__).resolve().parent / "grafana" / "dashboards" / "gateway.json"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """The dashboard, made from deploy/observability/panels.py."""


@main.command("dashboard")
def write_dashboard() -> None:
    """Write the dashboard for Grafana."""
    FILE.write_text(text(), encoding="utf-8")
    click.echo(f"written: {FILE}")


@main.command("picture")
@click.option("--prometheus", "address", default="http://127.0.0.1:9090", show_default=True, help="Its address.")
@click.option("--minutes", default=60.0, show_default=True, help="How far to look back.")
@click.option("--window", default="1m", show_default=True, help="Over which time rates are taken: four scrapes at least.")
@click.argument("output", type=click.Path(path_type=Path, dir_okay=False))
def write_picture(address: str, minutes: float, window: str, output: Path) -> None:
    """Draw every panel into OUTPUT, a PNG. Needs Chromium."""
    try:
        picture.draw(picture.Source(address, minutes * 60, window), output)
    except picture.PictureError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"written: {output}")


def text() -> str:
    """The dashboard's file."""
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    main()
