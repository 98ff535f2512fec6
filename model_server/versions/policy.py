"""Which version to load or unload next, as a pure function (upstream's availability_preserving_policy.cc).

A new version serves before the old one goes, and while nothing new serves one old version is kept, unless it is in the
way of itself: a version that is wanted again from other files has to be gone before it can be loaded.
"""

import enum
from collections.abc import Collection
from dataclasses import dataclass


class Verb(enum.Enum):
    """What to do with a version."""

    LOAD = "load"
    UNLOAD = "unload"


@dataclass(frozen=True)
class VersionView:
    """What the policy sees of a version: wanted or not, and whether it is new, ready to serve, or has failed.

    ``returning`` marks one that is not wanted as it is, but is wanted from other files.
    """

    version: int
    aspired: bool
    new: bool = False
    ready: bool = False
    failed: bool = False
    returning: bool = False


@dataclass(frozen=True)
class Action:
    """One step."""

    verb: Verb
    version: int


def next_action(versions: Collection[VersionView]) -> Action | None:
    """The next step for one model, or None when there is nothing to do."""
    wanted = [view for view in versions if view.aspired]
    leftover = [view.version for view in versions if view.ready and not view.aspired]
    may_unload = not wanted or any(view.ready for view in wanted) or len(leftover) > 1
    if leftover and may_unload:
        return Action(Verb.UNLOAD, min(leftover))
    new = [view.version for view in wanted if view.new]
    if new:
        return Action(Verb.LOAD, max(new))
    returning = [view.version for view in versions if view.ready and view.returning]
    if returning and all(view.failed for view in wanted):
        return Action(Verb.UNLOAD, min(returning))
    return None
