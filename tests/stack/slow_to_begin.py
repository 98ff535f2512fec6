"""The gateway, whose worker processes take a moment before they listen to signals. ``python -m tests.stack.slow_to_begin``."""

import time
from unittest.mock import patch

from gateway.__main__ import main
from gateway.server import GatewayServer

BEGUN = "a worker has begun"

_post_fork = GatewayServer._post_fork


def _post_fork_late(self: GatewayServer, arbiter: object, worker: object) -> None:
    print(BEGUN, flush=True)
    time.sleep(1)
    _post_fork(self, arbiter, worker)


if __name__ == "__main__":
    with patch.object(GatewayServer, "_post_fork", _post_fork_late):
        main()
