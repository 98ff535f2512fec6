"""Plans for tests of the evidence."""

from gateway.rollout.plan import Plan, Step


def a_plan(**values) -> Plan:
    steps = (Step(100_000, 600), Step(500_000, 600))
    given = {"id": "m-2-0000", "model": "m", "stable": 1, "canary": 2, "steps": steps, "weight": 100_000, "salt": "s"}
    return Plan(**given | {"author": "anna", "created_us": 0, "state_us": 0, "step_us": 0} | values)
