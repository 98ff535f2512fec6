"""Which of the model servers are left out now, told to the log when that changes."""

import time
from collections.abc import Callable, Sequence

from gateway.backend.servers import ejection
from gateway.backend.servers.server import Server
from gateway.telemetry.logs import logger

log = logger("backend")


class Ejections:
    """``addresses``: those of the servers that are left out. ``count`` is called with each that is from now on."""

    def __init__(self, count: Callable[[str], object]) -> None:
        self._count = count
        self.addresses: frozenset[str] = frozenset()

    def renew(self, servers: Sequence[Server]) -> bool:
        """Look at the health of ``servers``. Returns whether others are left out than before.

        Only those that are connected count: nobody calls the others.
        """
        connected = [server for server in servers if server.is_connected]
        now_s = time.monotonic()
        out = ejection.ejected([server.health for server in connected], now_s)
        before, self.addresses = self.addresses, frozenset(connected[place].address for place in out)
        if before == self.addresses:
            return False
        for server in connected:
            if server.address in self.addresses - before:
                self._count(server.address)
                log.warning("server.ejected", address=server.address, reason=_reason(server), for_s=server.health.left_s(now_s))
            elif server.address in before - self.addresses:
                log.info("server.back", address=server.address)
        return True


def _reason(server: Server) -> str:
    return "it answers nothing" if server.health.is_silent else f"{ejection.FAILURES} calls in a row failed"
