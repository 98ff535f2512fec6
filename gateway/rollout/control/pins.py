"""The last version that each open plan sends requests to, in a small file of this host, for a start without the database.

To the model server the latest version is the one that answers, which may be one that was taken back. All workers of a host
write the same file, each when it sees other pins than it has written: what is written last is what they all see.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from gateway import locked_file
from gateway.rollout.plan import Plan, State, Step
from gateway.telemetry.logs import logger

log = logger("rollout")

FILE: Final = "rollout_pins.json"
"""Its name in GATEWAY_STATE_DIR."""

_PATIENCE_S: Final = 2.0


class Pins:
    """The pins in the file at ``path``; None: there is none, and nothing is kept. Its calls block for a small file."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._written: dict[str, int] | None = None
        self._problem = ""

    def read(self) -> tuple[Plan, ...]:
        """A plan for each model, which does nothing but send every request to the version that was kept last."""
        if self._path is None:
            return ()
        try:
            known = msgspec.json.decode(self._path.read_bytes(), type=dict[str, int])
        except FileNotFoundError:
            return ()
        except (OSError, msgspec.DecodeError) as error:
            log.warning("rollout.pins_not_read", path=str(self._path), reason=str(error))
            return ()
        return tuple(_pinning(model, version) for model, version in sorted(known.items()))

    def note(self, plans: Iterable[Plan]) -> None:
        """These are the open plans: their pins are written if they are others than this worker has written last."""
        known = {plan.model: plan.kept for plan in plans if plan.kept is not None}
        if self._path is None or known == self._written:
            return
        try:
            # Plans are not followed meanwhile: what has failed before is not waited for.
            patience_s = 0.0 if self._problem else _PATIENCE_S
            locked_file.rewrite(self._path, lambda _: msgspec.json.encode(known), patience_s)
        except OSError as error:
            self._note_problem(error.strerror or str(error))  # its text may name a temporary file, another one each time
        else:
            self._written, self._problem = known, ""

    def _note_problem(self, reason: str) -> None:
        """The file could not be written, which is tried again at the next look: a reason is logged once."""
        if reason != self._problem:
            log.warning("rollout.pins_not_written", path=str(self._path), reason=reason)
        self._problem = reason


def _pinning(model: str, version: int) -> Plan:
    return Plan(
        id=f"pin-{model}",
        model=model,
        stable=version,
        canary=version,
        steps=(Step(0),),
        state=State.ABORTED,
        salt="",
        author="",
        created_us=0,
        state_us=0,
        step_us=0,
    )
