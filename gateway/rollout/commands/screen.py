"""Shows how rollouts go on: in a terminal lines that change in their place, elsewhere a line for each change."""

import shutil
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

import click

from gateway.rollout.commands.opening import Pause, now_us
from gateway.rollout.plan import Plan
from gateway.rollout.samples import IN_STATUS, sample_lines
from gateway.rollout.sentences import status_lines
from gateway.rollout.store.away import StoreAway

if TYPE_CHECKING:
    from gateway.rollout.store.store import Store

EVERY_S: Final = 1.0
# A worker tells that it is there every two seconds while there is something to follow.
_SILENT_US: Final = 5_000_000
NOBODY_FOLLOWS: Final = "no gateway follows this database"


def nobody_follows(store: "Store") -> str:
    """What is said when no worker was heard of."""
    what = "compare GATEWAY_STATE_DIR or DATABASE_URL with the gateway's"
    return f"{NOBODY_FOLLOWS}, {store.name}: nothing happens until one does; {what}"


def printable(text: str) -> str:
    """``text`` on one line, with escapes for what a terminal might obey: notes, names and servers' errors are others' words."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


class Screen:
    """What was shown last, on stdout."""

    def __init__(self, is_terminal: bool) -> None:
        self._is_terminal = is_terminal
        self._shown: tuple[str, ...] = ()
        self._change: str | None = None

    def show(self, lines: Sequence[str], change: str, *, is_last: bool = False) -> None:
        """Show ``lines`` instead of those before. No terminal: only if ``change``, which sums them up, is another one.

        ``is_last``: nothing is shown after them, so that they may take more room than there is.
        """
        lines = [printable(line) for line in lines]
        if self._is_terminal:
            self._redraw(_fitting(lines, is_last=is_last))
        elif change != self._change:
            for line in lines:
                click.echo(line)
        self._change = change

    def _redraw(self, lines: Sequence[str]) -> None:
        up = f"\x1b[{len(self._shown)}A" if self._shown else ""
        click.echo(up + "".join(f"\x1b[2K{line}\n" for line in lines) + "\x1b[J", nl=False, color=True)
        self._shown = tuple(lines)


def _fitting(lines: Sequence[str], *, is_last: bool) -> list[str]:
    """``lines`` as they fit the terminal: wrapped, or cut where that takes more room than there is and they are shown anew.

    What is longer than the terminal could not be written over.
    """
    columns, rows = shutil.get_terminal_size()
    wrapped = [part for line in lines for part in _wrapped(line, columns)]
    if is_last or len(wrapped) < rows:
        return wrapped
    return [line[:columns] for line in lines][: max(1, rows - 1)]


def _wrapped(line: str, columns: int) -> list[str]:
    indent = line[: len(line) - len(line.lstrip())]
    parts = textwrap.wrap(line.lstrip(), max(1, columns - len(indent) - 2), break_on_hyphens=False) or [""]
    return [indent + part if at == 0 else f"{indent}  {part}" for at, part in enumerate(parts)]


def watch(store: "Store", find: Callable[[], Iterable[Plan]], screen: Screen, pause: Pause) -> tuple[Plan, ...]:
    """Show the plans that ``find`` gives once a second, until all have ended. A database that is away is asked again."""
    while True:
        try:
            plans = tuple(find())
            lines = lines_of(store, plans)
            change = repr(([(plan.id, plan.revision) for plan in plans], nobody_follows(store) in lines))
            is_last = all(plan.is_ended for plan in plans)
        except StoreAway as away:
            screen.show([f"the database of rollouts is away: {away}"], str(away))
        else:
            screen.show(lines, change, is_last=is_last)
            if is_last:
                return plans
        pause(EVERY_S)


def lines_of(store: "Store", plans: Sequence[Plan], at_us: int | None = None) -> list[str]:
    """What there is to say of the plans, now or at another time."""
    at_us = now_us() if at_us is None else at_us
    lines = [printable(line) for plan in plans for line in _lines(store, plan, at_us)]
    waiting = [plan for plan in plans if plan.is_open and at_us - plan.state_us > _SILENT_US]
    if waiting and not store.workers():
        lines.append(nobody_follows(store))
    return lines


def _lines(store: "Store", plan: Plan, at_us: int) -> list[str]:
    return status_lines(plan, store.totals(plan.id), at_us) + sample_lines(plan, store.samples(plan.id), IN_STATUS)
