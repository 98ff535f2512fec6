"""The console of one process, made from the settings: the page, and the data that only it shows."""

from gateway.api.console.assets import console_assets
from gateway.api.console.caller import Caller
from gateway.api.console.examples import Examples
from gateway.api.console.models import Models, PlanOf
from gateway.api.console.routes import Pages
from gateway.api.routes import Room
from gateway.api.tfserving.routes import WhyNotJoined
from gateway.backend.model_config import ModelConfigFile
from gateway.inference.catalog import Catalog
from gateway.parts.figures import RecentFigures
from gateway.settings import Settings


def console(
    settings: Settings,
    catalog: Catalog,
    why_not_joined: WhyNotJoined,
    plan_of: PlanOf,
    *,
    figures: RecentFigures,
    config_file: ModelConfigFile | None,
) -> list[Room]:
    """What answers for the console."""
    return [
        Pages(console_assets()),
        Caller(has_keys=settings.keys_file is not None),
        Models(catalog, why_not_joined, plan_of, figures.since),
        figures.routes,
        Examples(None if config_file is None else lambda: config_file.folders, catalog),
    ]
