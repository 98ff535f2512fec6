"""How much there may be of large bodies in one worker: objects made of JSON take up to fifty times its size.

A body is bounded twice. If it is large it needs one of a few places before it is received, since a slow client may hold that
for long. Then, once it is here whole and its size known, it needs its share of a budget in bytes. Both come back when its
request ends. Nobody waits for a place with a share in hand, nor for more of what it has: so nobody waits for ever.
"""

from dataclasses import dataclass
from typing import Final

from flask import Flask, current_app

from gateway.api import allocator, requests
from gateway.api.budget import Budget
from gateway.api.message import NO_SHARES
from gateway.errors import Unavailable

_BOUNDS: Final = "gateway.body_bounds"

SMALL_BYTES: Final = 65_536  # up to here a body needs no share: it may be handled in the loop, where nothing waits
LARGE_BYTES: Final = 1 << 20
LARGE_BODIES: Final = 4  # of one worker that are received or in work at a time
MEDIUM_IN_WORK_BYTES: Final = 8 << 20  # apart from large ones, which take long


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the bodies of one worker share: ``places`` for large ones; bytes of ``large`` and of ``medium`` ones in work."""

    places: Budget
    large: Budget
    medium: Budget


def init_app(app: Flask, body_limit: int) -> None:
    """Bound how much there is of large bodies in ``app``, of which one alone may have ``body_limit`` bytes."""
    allocator.give_large_blocks_back()
    app.extensions[_BOUNDS] = Bounds(Budget(LARGE_BODIES), Budget(body_limit), Budget(MEDIUM_IN_WORK_BYTES))

    @app.teardown_request
    def give_back(error: BaseException | None) -> None:
        ours = requests.current()
        if ours.shares:
            shares, ours.shares = ours.shares, NO_SHARES
            for budget, amount in shares.items():
                budget.give_back(amount)


def take_place() -> None:
    """Wait, within the deadline, until one of the places for large bodies is free."""
    bounds: Bounds | None = current_app.extensions.get(_BOUNDS)
    if bounds is not None:
        _hold(bounds.places, 1)


def take_share(json_bytes: int) -> None:
    """Wait, within the deadline, until so many bytes of JSON may become objects.

    Raises Unavailable: too many others are in work.
    """
    if json_bytes <= SMALL_BYTES:
        return
    bounds: Bounds | None = current_app.extensions.get(_BOUNDS)
    if bounds is not None:
        _hold(bounds.large if json_bytes > LARGE_BYTES else bounds.medium, json_bytes)


def prepare_for_any() -> None:
    """Take a place, and a share for the largest body that there may be: two that grew bit by bit might wait for each other."""
    take_place()
    take_share(requests.current().body_limit)


def keep_share(size: int) -> None:
    """Give back what was taken for a larger body than that of ``size`` bytes which has come."""
    ours = requests.current()
    bounds: Bounds | None = current_app.extensions.get(_BOUNDS)
    if bounds is not None and bounds.large in ours.shares:
        bounds.large.give_back(ours.shares[bounds.large] - size)
        ours.shares = {**ours.shares, bounds.large: size}


def _hold(budget: Budget, amount: int) -> None:
    """Have ``amount`` of ``budget`` until this request ends. Who has some has enough, and never waits."""
    ours = requests.current()
    if budget in ours.shares:
        return
    if not budget.take(amount, requests.deadline().remaining_s()):
        raise _too_many(budget)
    ours.shares = {**ours.shares, budget: amount}


def _too_many(budget: Budget) -> Unavailable:
    error = Unavailable("too many large bodies are in work")
    bounds: Bounds = current_app.extensions[_BOUNDS]
    if budget is bounds.large:
        return error.decided_by("GATEWAY_MAX_BODY_BYTES", budget.total)
    # The other two budgets are no settings: how long a request waits for its share is one.
    error.setting = requests.deadline().exceeded().setting
    return error
