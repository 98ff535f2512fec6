"""New versions that get a part of the requests."""

from typing import Final

from deploy.observability.panel import Panel, Query, Row

ROLLOUTS: Final = Row(
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
