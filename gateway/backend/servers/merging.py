"""What several model servers say of one model, as one status. Pure functions.

A version is AVAILABLE if every server has it so that counts: those whose newest version is the one that most have as their
newest. The others lag, and get only calls that name a version.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.backend.servers.choice import newest_of_most
from gateway.inference.status import Lag, ModelStatus, VersionStatus

# The least advanced first.
_STATES: Final = ("END", "UNLOADING", "START", "LOADING", "AVAILABLE")
_NOT_THERE: Final = "START"
"""The state of a version that a server does not name, and others do."""

_NO_VERSION: Final = "it has no version AVAILABLE"


@dataclass(frozen=True, slots=True)
class View:
    """What the server at ``address`` says of a model; ``absence``: why it is not asked, or has not answered."""

    address: str
    status: ModelStatus | None = None
    absence: str = ""


def merged(name: str, views: Sequence[View]) -> ModelStatus:
    """The status of the model ``name`` that all ``views`` are together. It is ready if any of them is."""
    known = [view.status for view in views if view.status is not None]
    answering = [status for status in known if status.is_ready]
    counting = _agreeing(answering) if answering else [status for status in known if status.versions]
    # Those that do not count lag behind the others, which do not lack what they alone have.
    wanted = {version for status in counting for version in status.available}
    lags = tuple(lag for view in views if (lag := _lag(view, answering, counting, wanted)) is not None)
    if counting:
        return ModelStatus(name, _versions(counting, _newer(counting, answering)), lagging=lags)
    problems = [status.problem for status in known] or [view.absence for view in views]
    return ModelStatus(name, problem=problems[0] if problems else None, lagging=lags)


def _agreeing(answering: Sequence[ModelStatus]) -> list[ModelStatus]:
    """Those that get the calls that name no version."""
    most = newest_of_most(answering)
    return [status for status in answering if status.available[0] == most]


def _newer(counting: Sequence[ModelStatus], answering: Sequence[ModelStatus]) -> set[int]:
    """The versions that a few servers answer already, and those that count do not."""
    newest = max((status.available[0] for status in counting if status.available), default=-1)
    return {version for status in answering for version in status.available if version > newest}


def _versions(statuses: Sequence[ModelStatus], newer: set[int]) -> tuple[VersionStatus, ...]:
    """Each version that any of them names, and those that are ``newer``, newest first, in the least advanced state."""
    by_version = [{version.version: version for version in status.versions} for status in statuses]
    numbers = newer.union(*by_version)
    return tuple(
        min(
            (versions.get(number, VersionStatus(number, _NOT_THERE)) for versions in by_version),
            key=lambda version: (_rank(version), not version.has_failed),
        )
        for number in sorted(numbers, reverse=True)
    )


def _rank(version: VersionStatus) -> int:
    return _STATES.index(version.state) if version.state in _STATES else 0


def _lag(view: View, answering: Sequence[ModelStatus], counting: Sequence[ModelStatus], wanted: set[int]) -> Lag | None:
    """What this server lacks of the versions that are ``wanted``, or that others have; None if it lacks nothing."""
    status = view.status
    if status is None:
        return Lag(view.address, view.absence)
    if not status.is_ready:
        return Lag(view.address, status.problem or _NO_VERSION) if answering else None
    own = {version.version: version for version in status.versions}
    newest = status.available[0]
    lacks = [_lack(own.get(version), version, newest) for version in sorted(wanted.difference(status.available))]
    lacks += [_lack(version, version.version, newest) for version in status.versions if _failed_here(version, newest, counting)]
    told = "; ".join(filter(None, lacks)) or _ahead(newest, max(wanted, default=newest))
    return Lag(view.address, told) if told else None


def _failed_here(version: VersionStatus, newest: int, counting: Sequence[ModelStatus]) -> bool:
    """Whether a server has failed to load a version that is newer than all that it has, and not all others have failed too.

    What some of the others answer is told as lacking already.
    """
    if not version.has_failed or version.version <= newest:
        return False
    there = [{one.version: one for one in other.versions}.get(version.version) for other in counting]
    return not any(one is not None and one.is_available for one in there) and any(
        one is None or not one.has_failed for one in there
    )


def _ahead(own: int, most: int) -> str:
    return f"it answers version {own}, and most servers {most}" if own != most else ""


def _lack(own: VersionStatus | None, version: int, newest: int) -> str:
    """Why the version is not AVAILABLE on a server; empty if it was unloaded there for the ``newest`` that answers."""
    if own is None:
        return f"it has no version {version}"
    if own.has_failed:
        return f"version {version} failed: {own.error_code}: {own.error_message}"
    was_replaced = own.state in ("UNLOADING", "END") and version < newest
    return "" if was_replaced else f"version {version} is {own.state}"
