"""What callers get: how many requests, how long they take, and how they are batched."""

from typing import Final

from deploy.observability.rows.panel import Panel, Query, Row
from deploy.observability.rows.promql import mean, quantile

_ERRORS: Final = """(
  sum(rate(gateway_requests_total{status=~"50[0234]"}[$window])) + sum(rate(gateway_refusals_total[$window]))
) / (
  sum(rate(gateway_requests_total[$window])) + sum(rate(gateway_refusals_total[$window]))
)"""

TRAFFIC: Final = Row(
    "Requests",
    (
        Panel(
            "Requests by status",
            "Predictions asked for. 499: the client went away.",
            "reqps",
            (Query("sum by (status) (rate(gateway_requests_total[$window]))", "{{status}}"),),
        ),
        Panel(
            "Requests by model and version",
            "Predictions of models that are known, by the version that answered.",
            "reqps",
            (Query('sum by (model, version) (rate(gateway_requests_total{model!=""}[$window]))', "{{model}}/{{version}}"),),
        ),
        Panel(
            "Share of errors",
            "500, 502, 503, 504 and refusals, of all predictions asked for; the aim is 0.1 %.",
            "percentunit",
            (Query(_ERRORS, "errors"), Query("vector(0.001)", "aim")),
        ),
        Panel(
            "Refused",
            "Turned away because something was full, and by the limits of keys and addresses.",
            "reqps",
            (
                Query("sum(rate(gateway_refusals_total[$window]))", "requests in work"),
                Query("sum(rate(gateway_batch_refusals_total[$window]))", "queue of batches"),
                Query("sum(rate(gateway_model_call_refusals_total[$window]))", "calls of a model"),
                Query("sum by (unit) (rate(gateway_limited_total[$window]))", "limit: {{unit}}"),
            ),
        ),
    ),
)

LATENCY: Final = Row(
    "Time",
    (
        Panel(
            "Time of a request",
            "From a request's arrival to its answer, whatever the answer was. Points are traces: GATEWAY_METRICS_EXEMPLARS.",
            "s",
            (
                Query(quantile(0.5, "gateway_request_seconds"), "p50"),
                Query(quantile(0.95, "gateway_request_seconds"), "p95"),
                # In one of them: they are the same for all.
                Query(quantile(0.99, "gateway_request_seconds"), "p99", exemplars=True),
            ),
        ),
        Panel(
            "p99 by model and version",
            "A new version that is slower shows here.",
            "s",
            (Query(quantile(0.99, "gateway_request_seconds", "model, version"), "{{model}}/{{version}}", exemplars=True),),
        ),
        Panel(
            "Waiting and computing",
            "Means: the wait for a batch, and the call of the model server. Under too much load it is the waiting that grows.",
            "s",
            (
                Query(mean("gateway_batch_queue_seconds", "model"), "waiting {{model}}"),
                Query(mean("gateway_backend_seconds", "model"), "computing {{model}}"),
            ),
        ),
        Panel(
            "Requests in flight",
            "Being handled now, over all workers; each takes GATEWAY_MAX_IN_FLIGHT at most.",
            "short",
            (Query("sum by (instance) (gateway_in_flight_requests)", "{{instance}}"),),
        ),
    ),
)

BATCHES: Final = Row(
    "Batches",
    (
        Panel(
            "Rows that wait",
            "For a batch, by model. A queue that never empties: the model server is too slow.",
            "short",
            (Query("sum by (model) (gateway_queue_rows)", "{{model}}"),),
        ),
        Panel(
            "Rows in one call",
            "Of the model server, by model.",
            "short",
            (
                Query(mean("gateway_batch_rows", "model"), "mean {{model}}"),
                Query(quantile(0.95, "gateway_batch_rows", "model"), "p95 {{model}}"),
            ),
        ),
        Panel(
            "Batches by reason",
            "Why each was sent: idle (nothing was in flight), next, full, half (the batch had failed), alone (not joined).",
            "ops",
            (Query("sum by (reason) (rate(gateway_batches_total[$window]))", "{{reason}}"),),
        ),
        Panel(
            "Comparisons",
            "Of shared calls with lone ones. A different one ends the batches of its signature.",
            "ops",
            (
                Query("sum by (outcome) (rate(gateway_batch_proofs_total[$window]))", "{{outcome}}"),
                Query("sum by (model) (rate(gateway_batch_not_joined_total[$window]))", "not joined: {{model}}"),
            ),
        ),
    ),
)
