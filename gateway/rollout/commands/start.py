"""``rollout start``: begins a rollout, and shows how it goes on."""

import re
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
import msgspec

from gateway.rollout.commands.opening import Surroundings, opened, user
from gateway.rollout.commands.screen import Screen, nobody_follows, printable, watch
from gateway.rollout.plan import ANY_OUTPUT, OnBad, Plan, State
from gateway.rollout.starting import Unfit, Wanted
from gateway.rollout.store import ordering
from gateway.rollout.store.away import StoreAway

if TYPE_CHECKING:
    from gateway.rollout.store.store import Store

Command = TypeVar("Command", bound=Callable[..., Any])

_FAILED: Final = 1
_INTERRUPTED: Final = 130  # as a shell says of what Ctrl-C has ended
_MOST_INT64: Final = 2**63 - 1
_DEFAULTS: Final = {field.name: field.default for field in msgspec.structs.fields(Wanted)}
# The options that are not called as their member of the body that /admin/rollouts takes.
_OPTIONS: Final = {"second_opinion": "--no-second-opinion", "tolerances": "--tolerance"}


class _Tolerance(click.ParamType[tuple[str, float, float]]):
    name = "tolerance"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> tuple[str, float, float]:
        """The output, rtol and atol that the text means."""
        found = re.fullmatch(r"(?:(.+)=)?([^=,]+),([^=,]+)", str(value))
        numbers = _numbers(found[2], found[3]) if found else None
        if found is None or numbers is None:
            self.fail(f"expected OUTPUT=RTOL,ATOL such as probabilities=1e-3,1e-6, got {value!r}", parameter, context)
        return found[1] or ANY_OUTPUT, *numbers


def _numbers(rtol: str, atol: str) -> tuple[float, float] | None:
    try:
        return float(rtol), float(atol)
    except ValueError:
        return None


_VERSION: Final = click.IntRange(0, _MOST_INT64)


def _option(name: str, help_text: str, **more: Any) -> Callable[[Command], Command]:
    """An option whose default is that of the plan, and is only shown here."""
    default = _DEFAULTS[name]
    shown = f"  [default: {default:g}]" if isinstance(default, float) else f"  [default: {default}]" if default else ""
    return click.option(f"--{name.replace('_', '-')}", name, help=f"{help_text}{shown}", **more)


@click.command()
@click.argument("model")
@click.option("--canary", type=_VERSION, required=True, help="The new version. Its folder must be there.")
@_option("stable", "The version that answers until then.  [default: the highest that is loaded]", type=_VERSION)
@_option("steps", "How much of the requests the canary gets, and for how long: `1%:10m,10%:10m,50%:manual`.")
@_option("shadow", "The part of stable's requests that the canary is asked too, after the answer, for comparison: `20%`.")
@_option("sticky", "Each caller stays at its version; it is known by `header:X-User`, `key` or `address`.")
@_option("on_bad", "What is done with a canary that is worse.", type=click.Choice([one.value for one in OnBad]))
@_option("alpha", "How probable it may be to take back a version that is not worse.", type=float)
@_option("error_ratio", "How many times stable's errors are tolerated.", type=float)
@_option("slow_ratio", "How many times stable's slow answers are tolerated.", type=float)
@_option("most_disagreement", "The part of compared answers that may differ.", type=float)
@_option("most_bad", "The rate of errors that must be ruled out before the canary gets more.", type=float)
@click.option(
    "--tolerance",
    "tolerances",
    type=_Tolerance(),
    multiple=True,
    metavar="[OUTPUT=]RTOL,ATOL",
    help="How much a float of an output may differ from stable's: by atol + rtol * |stable's|. Without a name: of all others.",
)
@_option("keep_old", "How long the old version stays loaded after the promotion: `10m`.")
@click.option(
    "--no-second-opinion",
    is_flag=True,
    help="A fault of the canary is answered to the caller, and each refusal (4xx) of a version counts as its error.",
)
@click.option("--low-traffic", is_flag=True, help="Decide on a tenth of the evidence.")
@click.option("--again", is_flag=True, help="Although this version was taken back before.")
@click.option("--back", is_flag=True, help="Although the canary is older than stable.")
@click.option("--no-watch", is_flag=True, help="Only begin it, and show nothing.")
@click.pass_obj
def start(around: Surroundings, /, model: str, *, no_watch: bool, **options: Any) -> None:
    """Begin a rollout of MODEL to a new version, and show how it goes on until it has ended.

    Ctrl-C ends the view and not the rollout. The exit code is 0 when the canary was promoted, 1 when it was not, and 130 after
    Ctrl-C.
    """
    _check_model(around, model)
    with opened(around, makes=True) as store:
        is_new = _is_new(store)
        plan = _started(store, model, options)
        later = f"; `python -m gateway rollout status {model}` tells whether it could begin" if no_watch else ""
        click.echo(f"began rollout {plan.id} of {model}: version {plan.canary}{later}", err=True)
        if is_new:
            click.echo(nobody_follows(store), err=True)
        if not no_watch:
            _show(store, plan, around)


def _check_model(around: Surroundings, model: str) -> None:
    """Refuse at once what a gateway beside this command would refuse later."""
    settings = around.read_settings()
    models = around.models(settings)
    if models is not None and model not in models:
        listed = ", ".join(sorted(models)) or "none"
        raise click.ClickException(
            printable(
                f"there is no model {model} in {settings.model_config_file} (GATEWAY_MODEL_CONFIG_FILE); there are: {listed}"
            )
        )


def _is_new(store: "Store") -> bool:
    """Whether no gateway has ever used the database: each makes its tables when it starts."""
    try:
        store.workers()
    except StoreAway:
        return True
    return False


def _started(store: "Store", model: str, options: Mapping[str, Any]) -> Plan:
    try:
        return ordering.start(store, model, _wanted(options), user())
    except Unfit as unfit:
        lines = [f"{_option_of(problem.pointer)}: expected {problem.expected}, got {problem.got}" for problem in unfit.problems]
        raise click.UsageError("\n".join(lines)) from None
    except ordering.IsRunning as running:
        raise click.ClickException(printable(str(running))) from None


def _wanted(options: Mapping[str, Any]) -> Wanted:
    """What the options ask for; the defaults are those of the plan."""
    given = {name: value for name, value in options.items() if value is not None}
    given["second_opinion"] = not given.pop("no_second_opinion")
    tolerances = {output: {"rtol": rtol, "atol": atol} for output, rtol, atol in given.pop("tolerances")}
    return msgspec.convert(given | ({"tolerances": tolerances} if tolerances else {}), Wanted)


def _option_of(pointer: str) -> str:
    name = pointer.split("/")[1] if "/" in pointer else pointer
    return _OPTIONS.get(name, f"--{name.replace('_', '-')}")


def _show(store: "Store", plan: Plan, around: Surroundings) -> None:
    try:
        [ended] = watch(store, lambda: [store.plan(plan.id) or plan], Screen(around.is_terminal()), around.pause)
    except KeyboardInterrupt:
        command = "python -m gateway rollout"
        click.echo(
            f"\nthe rollout goes on: `{command} status {plan.model} --watch` shows it, `{command} abort {plan.model}` ends it",
            err=True,
        )
        sys.exit(_INTERRUPTED)
    if ended.state is not State.DONE:
        sys.exit(_FAILED)
