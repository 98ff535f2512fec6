"""A progress bar on a terminal, and nothing where there is none."""

import sys
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

import click

Item = TypeVar("Item")

_STEPS: Final = 500  # items between two looks of the bar


def shown(items: Iterable[Item], label: str, length: int | None = None) -> Iterator[Item]:
    """``items``, with a bar on the standard error; ``length`` is their number, if it is known."""
    if not sys.stderr.isatty():
        yield from items
        return
    with click.progressbar(items, length=length, label=label, show_pos=True, file=sys.stderr, update_min_steps=_STEPS) as bar:
        yield from bar
