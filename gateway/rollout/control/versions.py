"""Whether the model servers and the model config file are as a plan wants them. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.inference.status import ModelStatus, VersionStatus
from gateway.rollout.control.sight import Sight
from gateway.rollout.decision import FileState
from gateway.rollout.plan import Plan

_SURE_LOOKS = 2  # an editor may have written the half of a file


@dataclass(frozen=True, slots=True)
class Loaded:
    """``is_loaded``: None: no server could be asked. ``missing``: what is missing, and where; empty if nothing is."""

    is_loaded: bool | None
    missing: str = ""


def loaded(plan: Plan, sight: Sight) -> Loaded:
    """Whether every server that answers serves what the plan needs, and what is to go no more.

    Its ``others`` are asked for, and not waited for: a rollout need not hold because of them. If a version is to go, each
    server must also answer requests that name no version with the one that is kept: they are pinned to it until then.
    """
    if not sight.told:
        return Loaded(None, no_server(sight))
    lacks = [f"{address} {what}" for address, status in sorted(sight.told.items()) for what in _lacks(plan, status, sight)]
    return Loaded(not lacks, "; ".join(lacks))


def file_state(plan: Plan, sight: Sight, *, has_file: bool) -> FileState:
    """What the model config file says of the plan's model.

    It is ``BEHIND`` where a gateway has to write: while the versions are loaded, and when others are to go. Somebody who has
    changed the entry of a rollout that ended may keep it so.
    """
    if not has_file:
        return FileState.UNKNOWN
    said = None if sight.policy is None else sight.policy.specific
    if said == plan.versions:
        return FileState.AGREES
    if plan.drops_other:
        return FileState.BEHIND if _names_left(plan, said) else FileState.CHANGED
    if not plan.is_sharing:
        return FileState.BEHIND
    return FileState.CHANGED if sight.looks >= _SURE_LOOKS else FileState.UNKNOWN


def entry(plan: Plan, sight: Sight, config_file: Path | None) -> str:
    """The plan's entry in the model config file for a person, and what is missing there. Empty: there is no file."""
    if config_file is None:
        return ""
    where = f"the entry of {plan.model} in {config_file}"
    if sight.policy is None:
        return f"{where}, which cannot be read ({sight.file_problem})" if sight.file_problem else where
    unnamed = _unnamed(plan, sight)
    if sight.policy.specific is None:
        return f"{where}, which says: {sight.policy.text}"
    return f"{where}, which does not name version {' and '.join(map(str, unnamed))}" if unnamed else where


def is_unnamed(plan: Plan, sight: Sight) -> bool:
    """Whether the model config file, which has been read, does not name what the plan needs."""
    return bool(sight.file_problem) or (sight.policy is not None and bool(_unnamed(plan, sight)))


def _unnamed(plan: Plan, sight: Sight) -> list[int]:
    named = () if sight.policy is None else sight.policy.specific or ()
    return [version for version in plan.needed if version not in named]


def _names_left(plan: Plan, said: tuple[int, ...] | None) -> bool:
    """Whether the file names all that stays, and beside that only what this rollout or the one before it has left."""
    return said is not None and set(plan.versions) < set(said) <= {*plan.versions, *left(plan)}


def left(plan: Plan) -> frozenset[int]:
    """The versions that a plan that ``drops_other`` lets go: of its two, and of what the rollout before it left loaded."""
    return frozenset({*pair(plan), *plan.leaves} - {*plan.versions})


def pair(plan: Plan) -> frozenset[int]:
    """The two versions of a plan."""
    return frozenset({plan.canary, plan.canary if plan.stable is None else plan.stable})


def present(sight: Sight) -> frozenset[int]:
    """The versions that any server serves."""
    return frozenset(version for status in sight.told.values() for version in status.available)


def has_lost_pin(plan: Plan, sight: Sight) -> bool:
    """Whether servers answer, and none of them with the version that a draft's requests are pinned to."""
    return bool(sight.told) and plan.stable not in present(sight)


def is_known_model(sight: Sight) -> bool:
    """Whether any server that answers knows a version of the model, in whatever state."""
    return any(status.versions for status in sight.told.values())


def available(sight: Sight) -> tuple[int, ...]:
    """The versions that every server that answers serves, highest first."""
    found = [set(status.available) for status in sight.told.values()]
    return tuple(sorted(set.intersection(*found), reverse=True)) if found else ()


def states(sight: Sight) -> dict[int, str]:
    """Each version that a server knows, and its state there: the first server's, by address, that does not serve it."""
    found: dict[int, str] = {}
    for _, status in sorted(sight.told.items()):
        for version in status.versions:
            if found.get(version.version, "AVAILABLE") == "AVAILABLE":
                found[version.version] = version.state
    return found


def failures(plan: Plan, sight: Sight) -> str:
    """Which of the plan's versions a server has given up, in its own words; empty if none."""
    return "; ".join(
        f"{address}: version {version.version} failed: {version.error_code}: {version.error_message}"
        for address, status in sorted(sight.told.items())
        for version in status.versions
        if version.version in plan.needed and version.has_failed
    )


def are_known(plan: Plan, sight: Sight) -> bool:
    """Whether each server that answers has heard of the versions that the plan needs."""
    return all(set(plan.needed) <= {version.version for version in status.versions} for status in sight.told.values())


def no_server(sight: Sight) -> str:
    """That no model server answers, and why."""
    why = "; ".join(f"{address}: {reason}" for address, reason in sorted(sight.silent.items()))
    return f"no model server answers ({why or 'the name in GATEWAY_SERVING_TARGET cannot be resolved'})"


def _state(version: VersionStatus) -> str:
    """The server's word for the state; TensorFlow Serving says END of what it has unloaded, and of what has failed."""
    if version.state != "END":
        return version.state
    return f"it failed: {version.error_code}: {version.error_message}" if version.has_failed else "it was unloaded"


def _lacks(plan: Plan, status: ModelStatus, sight: Sight) -> Iterator[str]:
    states = {version.version: _state(version) for version in status.versions}
    for version in plan.needed:
        if version not in status.available:
            yield f"does not serve version {version} ({states.get(version, status.problem or 'which it does not know')})"
    if not plan.drops_other or not plan.needed:
        return
    said = None if sight.policy is None else sight.policy.specific
    newest, leaves = max(status.available, default=plan.kept), left(plan)
    # Where somebody else decides what is loaded, it is enough that requests without a version get the right one.
    stays = leaves & {*status.available} if said == plan.versions or _names_left(plan, said) else leaves & {newest}
    for version in sorted(stays):
        yield f"still serves version {version}"
    if newest != plan.kept and newest not in stays:
        yield f"answers requests that name no version with version {newest}, not with {plan.kept}"
