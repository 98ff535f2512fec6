"""The traces of requests."""

from typing import Final

from deploy.observability.rows.panel import Panel, Query, Row

TRACES: Final = Row(
    "Traces",
    (
        Panel(
            "Traces of requests",
            "Kept, and of those exported. Only with OTEL_EXPORTER_OTLP_ENDPOINT or GATEWAY_TRACES_FILE.",
            "reqps",
            (Query("sum by (outcome) (rate(gateway_traces_total[$window]))", "{{outcome}}"),),
        ),
        Panel(
            "Traces that were dropped",
            "Kept and lost: full (too many waited), failed (not taken by the receiver), stop (not sent before the end).",
            "reqps",
            (Query("sum by (reason) (rate(gateway_traces_dropped_total[$window]))", "{{reason}}"),),
        ),
    ),
)
