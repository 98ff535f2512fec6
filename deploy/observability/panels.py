"""The panels of the dashboard: the one list from which Grafana's JSON and the picture in the documentation are made.

Every query gives series for a gateway that has answered requests, has a certificate, keys, a Redis, a prediction log, a
cache and a rollout, and is scraped together with its model server. Without one of them its panels are empty or at 0, as their
meanings say.
"""

from typing import Final

from deploy.observability.rows.gateway import CALLERS, LOG, MODELS
from deploy.observability.rows.requests import BATCHES, LATENCY, TRAFFIC
from deploy.observability.rows.rollouts import ROLLOUTS
from deploy.observability.rows.traces import TRACES

ROWS: Final = (TRAFFIC, LATENCY, BATCHES, MODELS, CALLERS, LOG, TRACES, ROLLOUTS)
"""The dashboard, from top to bottom."""

PANELS: Final = tuple(panel for row in ROWS for panel in row.panels)
"""Every panel."""
