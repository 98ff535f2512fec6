"""The console of one process, made from the settings: the page, and the data that only it shows."""

from gateway.api.console.assets import console_assets
from gateway.api.console.routes import Pages
from gateway.api.routes import Room
from gateway.settings import Settings


def console(settings: Settings) -> list[Room]:
    """What answers for the console; nothing when it is off."""
    if settings.console == "off":
        return []
    return [Pages(console_assets())]
