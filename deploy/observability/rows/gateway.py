"""How the gateway is, who calls it, and what it hands on."""

from typing import Final

from deploy.observability.rows.panel import Panel, Query, Row

MODELS: Final = Row(
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

CALLERS: Final = Row(
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

LOG: Final = Row(
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
