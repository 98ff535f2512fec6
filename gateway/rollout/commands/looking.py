"""``rollout status``, ``history`` and ``explain``: what there is to know, and nothing is changed."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click
import msgspec

from gateway.rollout.commands.opening import Surroundings, opened
from gateway.rollout.commands.screen import Screen, lines_of, printable, watch
from gateway.rollout.documents import event_document, explained_document, status_document, time_text
from gateway.rollout.plan import Event, Plan
from gateway.rollout.samples import IN_EXPLAIN, sample_lines
from gateway.rollout.sentences import explain, stood
from gateway.rollout.store import ordering
from gateway.telemetry.logs import printable_json

if TYPE_CHECKING:
    from gateway.rollout.store.store import Store

_MOST_EVENTS = 10_000


@click.command()
@click.argument("model", required=False)
@click.option("--json", "as_json", is_flag=True, help="JSON with all that is known, instead of some lines.")
@click.option("--watch", "is_watched", is_flag=True, help="Show it anew every second, until it has ended or Ctrl-C.")
@click.pass_obj
def status(around: Surroundings, /, model: str | None, as_json: bool, is_watched: bool) -> None:
    """Show where the newest rollout of MODEL stands, or that of each model."""
    if as_json and is_watched:
        raise click.UsageError("expected --json or --watch, not both")
    with opened(around) as store:
        if is_watched:
            watch(store, lambda: _plans(store, model), Screen(around.is_terminal()), around.pause)
            return
        plans = tuple(_plans(store, model))
        if as_json:
            _print_json([_document(store, plan) for plan in plans])
        elif plans:
            click.echo("\n".join(lines_of(store, plans)))
        else:
            click.echo("there was no rollout yet", err=True)


@click.command()
@click.argument("model", required=False)
@click.option("-n", "most", type=click.IntRange(1, _MOST_EVENTS), default=20, show_default=True, help="How many rows.")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each row, with what was known then.")
@click.pass_obj
def history(around: Surroundings, /, model: str | None, most: int, as_json: bool) -> None:
    """Show who or what has changed the rollouts of MODEL, or of all models; the newest last."""
    with opened(around) as store:
        events = store.history(model, most)
    for event in reversed(events):
        click.echo(_json(event_document(event)) if as_json else printable(_line(event)))
    if not events:
        click.echo("there was no rollout yet", err=True)


@click.command("explain")
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="JSON with every sample that is kept.")
@click.pass_obj
def explain_last(around: Surroundings, /, model: str, as_json: bool) -> None:
    """Say in one sentence why the newest rollout of MODEL is where it is, and how sure that is.

    Requests that were answered differently by the two versions follow, if there were any.
    """
    with opened(around) as store:
        plan = ordering.newest(store, model)
        sentence, samples = explained(store, plan), store.samples(plan.id)
    if as_json:
        _print_json(explained_document(plan, sentence, samples))
        return
    for line in (sentence, *sample_lines(plan, samples, IN_EXPLAIN)):
        click.echo(printable(line))


def explained(store: "Store", plan: Plan) -> str:
    """One sentence about the plan and its last change."""
    events = [event for event in store.history(plan.model, 1) if event.plan == plan.id]
    return explain(plan, store.totals(plan.id), events[0] if events else None)


def _document(store: "Store", plan: Plan) -> dict[str, Any]:
    return status_document(plan, store.totals(plan.id), list(store.workers().values()), store.samples(plan.id))


def _plans(store: "Store", model: str | None) -> Iterable[Plan]:
    return store.newest_of_all() if model is None else (ordering.newest(store, model),)


def _line(event: Event) -> str:
    change = f"{stood(event.before) or '-'} -> {stood(event.after)}"
    text = f"{time_text(event.ts_us)}  {event.model}  {event.what}  {change}  by {event.by}"
    return f"{text}: {event.reason}" if event.reason else text


def _print_json(document: Any) -> None:
    click.echo(msgspec.json.format(_json(document)))


def _json(document: Any) -> str:
    return printable_json(msgspec.json.encode(document).decode())
