"""A sample as it is kept of a request that the canary answered otherwise than stable; ``samples.py`` has what a sample is."""

import time
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from gateway.errors import GatewayError
from gateway.rollout.plan import Plan

LONGEST_TEXT: Final = 200

KeepSample: TypeAlias = Callable[[str, dict[str, Any]], None]
"""Keeps a sample of the plan with this id."""


def of_request(plan: Plan, request_id: str, signature: str) -> dict[str, Any]:
    """Which request it was, and that it is now."""
    return {"request_id": request_id, "ts_us": time.time_ns() // 1000, "step": plan.step, "signature": signature}


def failure(error: GatewayError) -> dict[str, Any]:
    """What the canary answered instead of outputs."""
    return {"error": error.code, "message": error.message[:LONGEST_TEXT]}
