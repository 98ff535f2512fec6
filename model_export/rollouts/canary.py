"""A publication that is a rollout: the versions that serve are pinned, the new one appears, and it becomes the canary.

With the default version policy a new directory would answer everyone at once, so the pin comes first, and nothing appears
before every server has read it.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from model_export.errors import ExportError
from model_export.rollouts.admin_api import AdminApi, GatewayAwayError, GatewayRefusedError, Rollout
from model_export.versions import in_service

PINNED_AFTER_S: Final = 12.0
"""Two polls of the model config file in the shipped configuration, and some more: see docker-compose.yml."""

FOLLOWED_S: Final = 60.0
"""How long a rollout is followed at most. Large models take longer to load, which the gateway goes on to watch."""

_POLL_S: Final = 1.0
_BEFORE_THE_FIRST_CALLER: Final = {"draft", "loading", "warming"}

Say = Callable[[str], None]


class Canary:
    """What `publish --rollout` does besides publishing, in the order of the methods. For one publication.

    ``wanted`` is the rollout's request without its version, as /admin/rollouts takes it; ``wait`` and ``now`` are the clock.
    """

    def __init__(
        self,
        api: AdminApi,
        model: str,
        wanted: Mapping[str, Any],
        wait: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._model = model
        self._wanted = dict(wanted)
        self._wait = wait
        self._now = now
        self._left = ""  # what a failure leaves behind, and how to go on

    def check(self, model_dir: Path) -> None:
        """Raise ExportError, before a model trains for hours, when no rollout could begin afterwards."""
        if not in_service(model_dir):
            raise ExportError(
                f"{self._model} has no version in service, so there is nothing to roll out from: publish it without --rollout"
            )
        running = self._api.rollout_of(self._model)
        if running and not running.is_ended:
            raise ExportError(
                f"a rollout of {self._model} runs already ({running.id}: {running.words});"
                f" publish when it has ended, or end it: `python -m gateway rollout abort {self._model}`"
            )

    @contextmanager
    def telling_what_is_left(self, warn: Say) -> Iterator[None]:
        """Tell what stays as it is, and how to go on, when what is done inside fails or is interrupted."""
        try:
            yield
        except BaseException:
            if self._left:
                warn(self._left)
            raise

    def pin(self, report: Say) -> None:
        """Pin the versions that serve, and return when every server has read that. Raises ExportError if it cannot be done."""
        report("pinning the versions that serve")
        try:
            pinned = self._api.pin(self._model)
        except GatewayAwayError:
            self._leave(f"the versions that serve {self._model} may be pinned")
            raise
        named = ", ".join(map(str, pinned.versions))
        self._leave(f"version {named} of {self._model} stays pinned")
        if not pinned.versions:
            raise ExportError(f"no version of {self._model} is AVAILABLE, so there is nothing to roll out from")
        if pinned.is_confirmed:
            report(f"pinned version {named}")
            return
        why = "; ".join(pinned.troubles) or "no model server has confirmed it"
        report(
            f"pinned version {named}; the model servers read that on their own, since they could not be told ({why}):"
            f" waiting {PINNED_AFTER_S:g} s"
        )
        self._wait(PINNED_AFTER_S)

    def start(self, version: int, report: Say) -> Rollout:
        """Start the rollout of the version that has appeared, and follow it until callers get answers from it.

        Returns how it stands then, or after FOLLOWED_S. Raises ExportError when it was refused.
        """
        command = f"`python -m gateway rollout start {self._model} --canary {version}`"
        self._left = (
            f"version {version} of {self._model} is published, and no server takes it while the others are pinned;"
            f" go on with {command}, or take it back with `python -m model_export rollback {self._model}`"
        )
        report(f"starting the rollout of version {version}")
        rollout = self._follow(self._api.start(self._model, self._wanted | {"canary": version}), report)
        if rollout.state == "refused":
            raise ExportError(f"the rollout {rollout.id} was refused: {rollout.reason}")
        self._left = ""
        return rollout

    def _follow(self, rollout: Rollout, report: Say) -> Rollout:
        until, told = self._now() + FOLLOWED_S, ""
        while True:
            standing = f"{rollout.words}: {rollout.reason}" if rollout.reason else rollout.words
            if standing != told:
                told = standing
                report(f"{rollout.id} is {standing}")
            if rollout.state not in _BEFORE_THE_FIRST_CALLER or self._now() > until:
                return rollout
            self._wait(_POLL_S)
            rollout = self._asked_again(rollout)

    def _asked_again(self, rollout: Rollout) -> Rollout:
        """How the rollout stands now; as it was, when the gateway does not say: it goes on with it in any case."""
        try:
            now = self._api.rollout_of(self._model)
        except (GatewayAwayError, GatewayRefusedError):
            return rollout
        return now if now and now.id == rollout.id else rollout

    def _leave(self, what: str) -> None:
        self._left = (
            f"{what}: run the same command again, or take `model_version_policy` out of its entry in the model config file"
            " to serve the newest version"
        )
