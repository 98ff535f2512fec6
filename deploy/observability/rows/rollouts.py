"""New versions that get a part of the requests."""

from typing import Final

from deploy.observability.rows.panel import Panel, Query, Row

ROLLOUTS: Final = Row(
    "Rollouts",
    (
        Panel(
            "State",
            "Where the rollout of a model stands. Empty without a rollout.",
            "bool",
            (Query("max by (model, state) (gateway_rollout_state) == 1", "{{model}} {{state}}"),),
            most=1,
        ),
        Panel(
            "Decisions",
            "What the gateways have decided by themselves, and how often in the window: an order of a person is none.",
            "short",
            (Query("sum by (model, decision) (increase(gateway_rollout_decisions_total[$window]))", "{{model}} {{decision}}"),),
        ),
        Panel(
            "Weight of the canary",
            "The part of the requests that it gets.",
            "percentunit",
            (Query("max by (model) (gateway_rollout_weight)", "{{model}}"),),
            most=1,
        ),
        Panel(
            "Evidence against the canary",
            "ln E by metric, 0 if it is less. A version is taken back when all together reach ln(1 / alpha), by default 4.6.",
            "short",
            (
                Query("clamp_min(max by (model, metric) (gateway_rollout_log_e), 0)", "{{model}} {{metric}}"),
                Query("ln(vector(100))", "taken back"),
            ),
        ),
        Panel(
            "Evidence by arm",
            "Requests that count: of stable, of baseline (a part of stable of the canary's size, batched apart), of the canary."
            " Of a caller who stays on one version, one in 10 s counts.",
            "reqps",
            (Query("sum by (model, arm) (rate(gateway_rollout_exposed_total[$window]))", "{{model}} {{arm}}"),),
        ),
        Panel(
            "Bad evidence by arm",
            "Those of them that failed on one version only, or were slow, and answers of both versions that differ.",
            "reqps",
            (Query("sum by (model, arm, metric) (rate(gateway_rollout_bad_total[$window]))", "{{model}} {{arm}} {{metric}}"),),
        ),
        Panel(
            "Second opinions",
            "Requests that failed, by what came of asking the other version.",
            "reqps",
            (Query("sum by (model, result) (rate(gateway_rollout_second_opinions_total[$window]))", "{{model}} {{result}}"),),
        ),
        Panel(
            "Shadow",
            "Requests that the canary was asked too, after stable had answered, by how it did. Dropped: there was no room.",
            "reqps",
            (Query("sum by (model, result) (rate(gateway_rollout_shadow_total[$window]))", "{{model}} {{result}}"),),
        ),
    ),
)
