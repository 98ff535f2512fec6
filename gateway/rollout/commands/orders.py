"""``rollout step``, ``weight``, ``pause`` and the others of ``Order``: an order for a model's rollout."""

from collections.abc import Callable
from typing import Any, Final

import click

from gateway.rollout.commands.opening import Surroundings, opened, user
from gateway.rollout.commands.screen import nobody_follows, printable
from gateway.rollout.orders import Order, OrderRefused
from gateway.rollout.plan import Plan, State
from gateway.rollout.steps import parse_weight, share_text
from gateway.rollout.store import ordering

_HELP: Final = {
    Order.STEP: "Go to the next step now, without waiting for the end of this one. After the last step it promotes.",
    Order.WEIGHT: (
        "Give the canary WEIGHT of the requests now, such as 12.5%, for as long as this step would have taken. "
        "The rollout goes on with the steps that give it more."
    ),
    Order.PAUSE: "Stay at the weight that the canary has. It is still taken back if it is worse.",
    Order.RESUME: "Go on after a pause, or with a rollout that holds because it was frozen or because the file was changed.",
    Order.PROMOTE: "Send every request to the canary now. The old version stays loaded for a while, for `undo`.",
    Order.ABORT: "End the rollout: every request goes to the old version. Both stay loaded until `clean`.",
    Order.UNDO: "Go back to the old version after a promotion, while it is still loaded.",
    Order.CLEAN: "Let go of the version that gets no requests any more: the server may unload it.",
}


class _Weight(click.ParamType[int]):
    name = "weight"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> int:
        """The millionths that the text means."""
        try:
            return parse_weight(str(value))
        except ValueError as error:
            self.fail(str(error), parameter, context)


def _command(order: Order) -> click.Command:
    @click.command(order.value, help=_HELP[order])
    @click.argument("model")
    @click.option("--note", default="", help="Why, for the history.")
    @click.pass_obj
    def run(around: Surroundings, /, model: str, note: str, weight: int | None = None) -> None:
        with opened(around) as store:
            try:
                before, after = ordering.give(store, model, ordering.Given(order, user(), note, weight))
            except OrderRefused as refused:
                raise click.ClickException(printable(refused.message)) from None
            click.echo(printable(_what_now(before, after)))
            if not store.workers():
                click.echo(nobody_follows(store), err=True)

    return click.argument("weight", type=_Weight())(run) if order is Order.WEIGHT else run


ORDERS: Final = tuple(_command(order) for order in Order)
"""A command for each order."""


def _what_now(before: Plan, after: Plan) -> str:
    model = after.model
    change = f"{model}: {before.state.words}" + (f" -> {after.state.words}" if after.state is not before.state else "")
    say = _NEXT.get(after.state)
    if after.drops_other and not before.drops_other:
        return f"{change}: only version {after.kept} stays loaded"
    return f"{change}: {say(after)}" if say is not None else change


_NEXT: Final[dict[State, Callable[[Plan], str]]] = {
    State.RUNNING: lambda plan: f"version {plan.canary} gets {share_text(plan.canary_weight)} of the requests",
    State.HOLDING: lambda plan: plan.reason or f"it holds: {plan.hold.words}",
    State.PAUSED: lambda plan: f"version {plan.canary} keeps {share_text(plan.canary_weight)} of the requests",
    State.PROMOTING: lambda plan: (
        f"version {plan.canary} gets every request within 2 s; `undo` leads back for {plan.keep_old_s} s"
    ),
    State.ROLLING_BACK: lambda plan: f"version {plan.stable} gets every request within 2 s",
    State.ABORTED: lambda plan: f"every request goes on as before{_kept(plan)}",
}


def _kept(plan: Plan) -> str:
    if plan.stable is None:
        return ""
    return f", to version {plan.stable}; both stay loaded until `rollout clean {plan.model}`"
