"""What several model servers say of one model, as one status. Pure functions.

A version is AVAILABLE if every server that answers the model has it so. While servers change from one version to the next and
have none in common, those count that have the version that most of them have: the others lag.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

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
    lags = tuple(lag for view in views if (lag := _lag(view, answering, counting)) is not None)
    if counting:
        return ModelStatus(name, _versions(counting), lagging=lags)
    problems = [status.problem for status in known] or [view.absence for view in views]
    return ModelStatus(name, problem=problems[0] if problems else None, lagging=lags)


def _agreeing(answering: Sequence[ModelStatus]) -> list[ModelStatus]:
    """All, if they have an AVAILABLE version in common; else those that have the version that most have, the newest of such."""
    support = Counter(version for status in answering for version in status.available)
    if max(support.values()) == len(answering):
        return list(answering)
    most = max(support, key=lambda version: (support[version], version))
    return [status for status in answering if most in status.available]


def _versions(statuses: Sequence[ModelStatus]) -> tuple[VersionStatus, ...]:
    """Each version that any of them names, newest first, in its least advanced state."""
    by_version = [{version.version: version for version in status.versions} for status in statuses]
    numbers = {number for versions in by_version for number in versions}
    return tuple(
        min(
            (versions.get(number, VersionStatus(number, _NOT_THERE)) for versions in by_version),
            key=lambda version: (_rank(version), not version.has_failed),
        )
        for number in sorted(numbers, reverse=True)
    )


def _rank(version: VersionStatus) -> int:
    return _STATES.index(version.state) if version.state in _STATES else 0


def _lag(view: View, answering: Sequence[ModelStatus], counting: Sequence[ModelStatus]) -> Lag | None:
    """What this server lacks of that which others have; None if it lacks nothing."""
    status = view.status
    if status is None:
        return Lag(view.address, view.absence)
    if not status.is_ready:
        return Lag(view.address, status.problem or _NO_VERSION) if answering else None
    own = {version.version: version for version in status.versions}
    # Those that do not count lag behind the others, which do not lack what they alone have.
    others = {version for other in counting for version in other.available}
    told = "; ".join(filter(None, [_lack(own.get(version), version) for version in sorted(others - set(status.available))]))
    return Lag(view.address, told) if told else None


def _lack(own: VersionStatus | None, version: int) -> str:
    """Why the version is not AVAILABLE on a server; empty if it was unloaded there."""
    if own is None:
        return f"it has no version {version}"
    if own.has_failed:
        return f"version {version} failed: {own.error_code}: {own.error_message}"
    return "" if own.state in ("UNLOADING", "END") else f"version {version} is {own.state}"
