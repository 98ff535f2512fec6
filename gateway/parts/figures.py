"""The figures of the last ten minutes: what records them, in one worker of all, and what every worker answers of them."""

from pathlib import Path

from gateway.api.console.recent.recorder import Models, Plans, Recorder
from gateway.api.console.recent.routes import RingRoutes
from gateway.api.console.recent.states import StateReader


class RecentFigures:
    """Those of the workers that share ``folder``; without one, of this process. For one event loop.

    ``models`` are as the catalog knows them, ``plans`` the ids of the open plans by model. ``since`` tells since when a version
    is in its state, in Unix time; None: it is not known.
    """

    def __init__(self, folder: str | None, models: Models, plans: Plans) -> None:
        self._recorder = Recorder(None if folder is None else Path(folder), models, plans)
        self.routes = RingRoutes(self._recorder.place)
        self.since = StateReader(self._recorder.place).since

    def start(self) -> None:
        """Begin to record, if no other worker does, on the event loop that runs here."""
        self._recorder.start()

    async def close(self) -> None:
        """Leave the recording to another worker."""
        await self.routes.close()
        await self._recorder.close()
