"""The panels of the dashboard: the one list from which Grafana's JSON and the picture in the documentation are made.

Every query gives series for a gateway that has answered requests, has a certificate, keys, a Redis, a prediction log and a
cache, and is scraped together with its model server. Without one of them its panels are empty or at 0, as their meanings say.
"""

from typing import Final

from deploy.observability.panel import Panel, Query, Row

_ERRORS: Final = """(
  sum(rate(gateway_requests_total{status=~"50[0234]"}[$window])) + sum(rate(gateway_refusals_total[$window]))
) / (
  sum(rate(gateway_requests_total[$window])) + sum(rate(gateway_refusals_total[$window]))
)"""


def _quantile(quantile: float, metric: str, by: str = "") -> str:
    # With a model: what was asked of none that is known has an empty label.
    known = '{model!=""}' if by else ""
    buckets = f"sum by (le{by and ', ' + by}) (rate({metric}_bucket{known}[$window]))"
    return f"histogram_quantile({quantile}, {buckets})"


def _mean(metric: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}_sum[$window])) / (sum by ({by}) (rate({metric}_count[$window])) > 0)"


_TRAFFIC: Final = Row(
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

_LATENCY: Final = Row(
    "Time",
    (
        Panel(
            "Time of a request",
            "From a request's arrival to its answer, whatever the answer was. Points are traces: GATEWAY_METRICS_EXEMPLARS.",
            "s",
            (
                Query(_quantile(0.5, "gateway_request_seconds"), "p50"),
                Query(_quantile(0.95, "gateway_request_seconds"), "p95"),
                # In one of them: they are the same for all.
                Query(_quantile(0.99, "gateway_request_seconds"), "p99", exemplars=True),
            ),
        ),
        Panel(
            "p99 by model and version",
            "A new version that is slower shows here.",
            "s",
            (Query(_quantile(0.99, "gateway_request_seconds", "model, version"), "{{model}}/{{version}}", exemplars=True),),
        ),
        Panel(
            "Waiting and computing",
            "Means: the wait for a batch, and the call of the model server. Under too much load it is the waiting that grows.",
            "s",
            (
                Query(_mean("gateway_batch_queue_seconds", "model"), "waiting {{model}}"),
                Query(_mean("gateway_backend_seconds", "model"), "computing {{model}}"),
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

_BATCHES: Final = Row(
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
                Query(_mean("gateway_batch_rows", "model"), "mean {{model}}"),
                Query(_quantile(0.95, "gateway_batch_rows", "model"), "p95 {{model}}"),
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

_MODELS: Final = Row(
    "Gateway and models",
    (
        Panel(
            "Models that are ready",
            "1 when every worker can reach the model.",
            "bool",
            (Query("min by (model) (gateway_model_ready)", "{{model}}"),),
            most=1,
        ),
        Panel(
            "Processor",
            "Cores that the workers of a gateway use.",
            "short",
            (Query("sum by (instance) (rate(gateway_cpu_seconds_total[$window]))", "{{instance}}"),),
        ),
        Panel(
            "Memory",
            "Of all workers of a gateway.",
            "bytes",
            (Query("sum by (instance) (gateway_resident_memory_bytes)", "{{instance}}"),),
        ),
        Panel(
            "Workers that died",
            "Without having been told to stop, in all.",
            "short",
            (Query("sum by (instance) (gateway_worker_deaths_total)", "{{instance}}"),),
        ),
        Panel("Alerts", "Firing now.", "short", (Query('sum(ALERTS{alertstate="firing"}) or vector(0)', "firing"),), "stat"),
        Panel("Gateways that answer", "Prometheus reaches them.", "short", (Query('sum(up{job="gateway"})', "up"),), "stat"),
        Panel(
            "Certificate",
            "How long the gateway's own is valid. Only with GATEWAY_TLS_CERT.",
            "s",
            (Query("min by (instance) (gateway_certificate_expires_seconds) - time()", "{{instance}}"),),
            "stat",
        ),
        Panel(
            "Version",
            "How many gateways there are of each.",
            "short",
            (Query("count by (version, python) (gateway_build_info)", "{{version}}, Python {{python}}"),),
            "stat",
        ),
    ),
)

_CALLERS: Final = Row(
    "Keys, limits and the cache",
    (
        Panel(
            "Requests by key",
            "The ten busiest. Only with GATEWAY_KEYS_FILE.",
            "reqps",
            (Query("topk(10, sum by (key) (rate(gateway_key_requests_total[$window])))", "{{key}}"),),
        ),
        Panel(
            "Keys that were looked at",
            "By what came of it.",
            "reqps",
            (Query("sum by (result) (rate(gateway_auth_total[$window]))", "{{result}}"),),
        ),
        Panel(
            "Redis",
            "1 when it shares the limits, and how long ago it answered. Only with GATEWAY_REDIS_URL.",
            "short",
            (
                Query("min by (instance) (gateway_limit_store_up)", "up {{instance}}"),
                Query("max by (instance) (gateway_limit_lease_age_seconds)", "age in s {{instance}}"),
            ),
        ),
        Panel(
            "Kept answers that were given",
            "Share of the requests to the models of GATEWAY_CACHE that needed no call of their own.",
            "percentunit",
            (
                Query(
                    'sum by (model) (rate(gateway_cache_requests_total{outcome!="miss"}[$window]))'
                    " / (sum by (model) (rate(gateway_cache_requests_total[$window])) > 0)",
                    "{{model}}",
                ),
            ),
            most=1,
        ),
    ),
)

_LOG: Final = Row(
    "Prediction log and model server",
    (
        Panel(
            "Rows of the prediction log",
            "By what became of them. Only with GATEWAY_PREDICTION_LOG.",
            "rowsps",
            (
                Query(
                    'sum by (outcome) (rate(gateway_prediction_log_rows_total{outcome=~"written|dropped_.*"}[$window]))',
                    "{{outcome}}",
                ),
            ),
        ),
        Panel(
            "Rows that wait to be logged",
            "Over all workers.",
            "short",
            (Query("sum by (table) (gateway_prediction_log_queued_rows)", "{{table}}"),),
        ),
        Panel(
            "Calls of the model server",
            "As it counts them itself, by model and status.",
            "reqps",
            (
                Query(
                    "sum by (model_name, status) (rate(:tensorflow:serving:request_count[$window]))",
                    "{{model_name}} {{status}}",
                ),
            ),
        ),
        Panel(
            "p99 in the model server",
            "As it measures it itself, by model.",
            "s",
            (
                Query(
                    "histogram_quantile(0.99, sum by (le, model_name)"
                    " (rate(:tensorflow:serving:request_latency_bucket[$window]))) / 1e6",
                    "{{model_name}}",
                ),
            ),
        ),
    ),
)

_TRACES: Final = Row(
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

_ROLLOUTS: Final = Row(
    "Rollouts",
    (
        Panel(
            "Requests by arm",
            "Of models with a rollout: those that the model server answered for stable, for baseline (a part of stable of the"
            " canary's size, which is batched apart) and for the canary.",
            "reqps",
            (Query("sum by (model, arm) (rate(gateway_rollout_exposed_total[$window]))", "{{model}} {{arm}}"),),
        ),
        Panel(
            "Weight of the canary",
            "The part of the requests that it gets.",
            "percentunit",
            (Query("max by (model) (gateway_rollout_weight)", "{{model}}"),),
            most=1.0,
        ),
        Panel(
            "Evidence against the canary",
            "The natural logarithm of E by metric; with the usual alpha, a version is taken back when that of all is 4.6.",
            "short",
            (Query("max by (model, metric) (gateway_rollout_log_e)", "{{model}} {{metric}}"),),
        ),
        Panel(
            "Bad requests by arm",
            "That count as evidence: failed on one version only, slow, or answered differently.",
            "reqps",
            (Query("sum by (model, arm, metric) (rate(gateway_rollout_bad_total[$window]))", "{{model}} {{arm}} {{metric}}"),),
        ),
        Panel(
            "Second opinions and shadows",
            "Requests that a second version was asked too, by what came of it.",
            "reqps",
            (
                Query("sum by (model, result) (rate(gateway_rollout_second_opinions_total[$window]))", "{{model}} {{result}}"),
                Query("sum by (model, result) (rate(gateway_rollout_shadow_total[$window]))", "{{model}} shadow: {{result}}"),
            ),
        ),
    ),
)

ROWS: Final = (_TRAFFIC, _LATENCY, _BATCHES, _MODELS, _CALLERS, _LOG, _TRACES, _ROLLOUTS)
"""The dashboard, from top to bottom."""

PANELS: Final = tuple(panel for row in ROWS for panel in row.panels)
"""Every panel."""
