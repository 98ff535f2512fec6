"""Whether a draft may begin, by what the model server serves and by what failed before: a pure look."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gateway.rollout.plan import Plan


@dataclass(frozen=True, slots=True)
class Refusal:
    """A draft cannot begin; ``reason`` tells an operator why, and what to do."""

    reason: str


def check_draft(
    plan: Plan, available: tuple[int, ...], statuses: Mapping[int, str], failed: Mapping[int, Plan]
) -> dict[str, Any] | Refusal:
    """The values that an accepted draft gets (its ``stable``), or why it is refused.

    ``available``: the versions that answer requests on every model server; ``statuses``: the state of each version that a
    server knows; ``failed``: the rollouts that were taken back, by their canary.
    """
    stable = _found_stable(plan, available, statuses, failed) if plan.stable is None else plan.stable
    if isinstance(stable, Refusal):
        return stable
    for reason in (
        _same(plan, stable),
        _failed_before(plan.canary, plan, failed, "the canary"),
        # What a rollout left as the one that answers is sound, whatever it was before.
        "" if plan.stays_open else _failed_before(stable, plan, failed, "the version to go back to"),
        _older(plan, stable),
    ):
        if reason:
            return Refusal(reason)
    return {"stable": stable}


def others_of(plan: Plan, stable: int, present: Collection[int], failed: Collection[int]) -> tuple[int, ...]:
    """The versions that stay loaded beside the two of ``plan``: clients may name them. Lowest first.

    ``present``: what any model server serves. Versions that were taken back, or left loaded by the rollout before, are let go.
    """
    return tuple(sorted({*plan.others, *present} - {stable, plan.canary, *plan.leaves, *failed}))


def _found_stable(
    plan: Plan, available: tuple[int, ...], statuses: Mapping[int, str], failed: Mapping[int, Plan]
) -> int | Refusal:
    """The highest version that answers, is not the canary, and was never taken back: the way back must not lead there."""
    others = [version for version in available if version != plan.canary]
    sound = [version for version in others if version not in failed]
    if sound:
        return max(sound)
    if others:
        reason = f"beside the canary only {_listed(others)} of {plan.model} answers, and was taken back before"
        return Refusal(f"{reason}: name the version to go back to with --stable N")
    if plan.canary in available:
        reason = f"version {plan.canary} of {plan.model} answers alone already"
        return Refusal(f"{reason}: name the version to go back to with --stable N, and it is loaded again")
    known = ", ".join(f"version {version} is {state}" for version, state in sorted(statuses.items())) or "it has no version"
    return Refusal(f"no version of {plan.model} is AVAILABLE on every model server ({known}): there is nothing to go back to")


def _same(plan: Plan, stable: int) -> str:
    if stable != plan.canary:
        return ""
    return f"version {stable} of {plan.model} cannot be both the canary and the version to go back to"


def _failed_before(version: int, plan: Plan, failed: Mapping[int, Plan], role: str) -> str:
    before = failed.get(version)
    if before is None or plan.is_again:
        return ""
    when = datetime.fromtimestamp(before.state_us / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    why = f"version {version} of {plan.model}, {role}, was taken back on {when} ({before.reason})"
    return f"{why}: publish a repaired one as a new version, or say --again"


def _older(plan: Plan, stable: int) -> str:
    if plan.canary > stable or plan.is_back:
        return ""
    return f"the canary, version {plan.canary} of {plan.model}, is older than version {stable}: say --back if that is meant"


def _listed(versions: list[int]) -> str:
    return ("version " if len(versions) == 1 else "versions ") + ", ".join(map(str, sorted(versions)))
