"""``python -m gateway rollout``: the same orders as /admin/rollouts, on the gateway's own machine."""
