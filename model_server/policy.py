"""Which version to load or unload next, as a pure function (upstream's availability_preserving_policy.cc).

A new version serves before the old one goes, and while nothing new serves one old version is kept.
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
    """What the policy sees of a version: wanted or not, and whether it is new or ready to serve."""

    version: int
    aspired: bool
    new: bool = False
    ready: bool = False


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
    return Action(Verb.LOAD, max(new)) if new else None
