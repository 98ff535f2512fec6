"""The gateway's application under gunicorn's own workers: ``gunicorn 'benchmarks.baselines.stock:create()'``.

``GATEWAY_*`` variables as for the gateway; PROMETHEUS_MULTIPROC_DIR names a folder that is there.
"""

import os
import sys

from flask import Flask

from gateway import settings
from gateway.telemetry import logs


def create() -> Flask:
    """The application, in a worker that has just been forked."""
    current = settings.from_environment(os.environ)
    logs.configure(current.log_level)
    _make_friends_with_gevent()
    from gateway.app import create_app  # noqa: PLC0415 - gRPC is told of gevent before it is used

    return create_app(current, metrics_dir=os.environ["PROMETHEUS_MULTIPROC_DIR"])


def _make_friends_with_gevent() -> None:
    """Under gevent's worker, which has changed threads into greenlets by now, gRPC must wait in its way."""
    if "gevent.monkey" in sys.modules:
        from grpc.experimental import gevent  # noqa: PLC0415

        gevent.init_gevent()
