"""Refuses what would take a version away from a rollout, or leave the servers with nothing to serve.

A gateway knows what runs. Without one that can be asked, the model config file tells: only a rollout, or an operator who means
it, lets it name two versions of a model.
"""

from collections.abc import Callable
from typing import Protocol

from model_export.errors import ExportError
from model_export.rollouts.admin_api import GatewayAwayError, GatewayRefusedError, Rollout
from model_export.rollouts.pins import Pin

_CANARY_ALONE = {"promoting", "bake_after", "done"}


class Rollouts(Protocol):
    """Where one can ask: see ``AdminApi``."""

    def rollout_of(self, model: str) -> Rollout | None:
        """Return the newest rollout of the model, or None if it never had one."""


class Guard:
    """Asks once, when it is made, what a rollout needs of ``model``. ``warn`` hears why a gateway could not be asked.

    ``api`` is None where there is no gateway to ask; ``pin`` is what the model config file says. Every method raises
    ExportError, with the command that ends the rollout, for what must not be done.
    """

    def __init__(self, model: str, api: Rollouts | None, pin: Pin | None, warn: Callable[[str], None]) -> None:
        self._model = model
        self._pin = pin
        self._rollout, self._is_known = None, False
        if api:
            try:
                self._rollout, self._is_known = api.rollout_of(model), True
            except (GatewayAwayError, GatewayRefusedError) as error:
                warn(f"{error}; so only the model config file tells whether a rollout runs")

    def before_return(self) -> None:
        """Check before a version that was withdrawn comes back."""
        self._check_none_runs()
        self._check_file_shows_none()

    def before_withdrawal(self, going: set[int], is_forced: bool) -> None:
        """Check before versions are taken out of service.

        ``is_forced`` holds against the file, never against a rollout: one may run unless a gateway says that none does.
        """
        self._check_none_runs()
        if is_forced:
            self._check_none_is_pinned(going)
            return
        # Also for another version than those that are named: a rollout leaves the ones that serve as they are.
        self._check_file_shows_none()
        self._check_needed(going)

    def before_deletion(self, going: set[int]) -> None:
        """Check before versions are deleted."""
        self._check_none_runs()
        self._check_needed(going)

    def _check_none_runs(self) -> None:
        rollout = self._rollout
        if rollout and not rollout.is_ended:
            between = f"{rollout.stable} to {rollout.canary}" if rollout.stable else f"to {rollout.canary}"
            end = "undo" if rollout.state in _CANARY_ALONE else "abort"
            raise ExportError(
                f"a rollout of {self._model} runs ({rollout.id}: version {between}, {rollout.words});"
                f" end it first: `{_command(end, self._model)}`"
            )

    def _check_needed(self, going: set[int]) -> None:
        rollout, pin = self._rollout, self._pin
        kept = (rollout.canary if rollout.state in _CANARY_ALONE else rollout.stable) if rollout and rollout.is_open else None
        if rollout and kept in going:
            raise ExportError(
                f"version {kept} of {self._model} is the one that the rollout {rollout.id} has left serving ({rollout.words});"
                f" another one must serve first: `{_command('start', self._model)} --canary N`"
            )
        if pin and going & set(pin.versions):
            self._check_file_shows_none()
            if going >= set(pin.versions):
                raise ExportError(
                    f"{pin.text}, and servers would have nothing left to serve;"
                    f" another one must serve first: `{_command('start', self._model)} --canary N` (--back for an older one)"
                )

    def _check_none_is_pinned(self, going: set[int]) -> None:
        pin = self._pin
        if pin and going & set(pin.versions):
            self._check_file_shows_none()
            if not self._is_known:
                raise ExportError(
                    f"{pin.text}, and servers would have nothing left to serve; --force does it once a gateway has said that no"
                    f" rollout runs (--gateway URL, and a key in GATEWAY_KEY)"
                )

    def _check_file_shows_none(self) -> None:
        pin = self._pin
        if pin and len(pin.versions) > 1 and not self._is_known:
            raise ExportError(
                f"{pin.text}, as a rollout does; end it first: `{_command('abort', self._model)}`,"
                f" and then `{_command('clean', self._model)}`; or let a gateway say:"
                " --gateway URL, and a key in GATEWAY_KEY"
            )


def _command(order: str, model: str) -> str:
    return f"python -m gateway rollout {order} {model}"
