"""What the commands print: results on stdout, progress on stderr. Plain lines wherever that is not a terminal."""

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import click
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

# Control characters, and separators of lines and paragraphs.
_BREAKING = ("Cc", "Zl", "Zp")

Rows = Sequence[Sequence[str]]


@contextmanager
def progress(subject: str) -> Iterator[Callable[[str], None]]:
    """Give a function that says which step the work on `subject` has reached, with a spinner on a terminal."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield lambda step: click.echo(_on_one_line(f"{subject}: {step}"), err=True)
        return
    with console.status(escape(subject)) as status:

        def report(step: str) -> None:
            told = escape(_on_one_line(f"{subject}: {step}"))
            console.print(f"[dim]{told}[/dim]")
            status.update(told)

        yield report


def warn(text: str) -> None:
    """Say on stderr what the operator should know although the command succeeds."""
    click.secho(f"warning: {_on_one_line(text)}", fg="yellow", err=True)


def fail(text: str) -> None:
    """Say on stderr, in one line, why the command failed."""
    click.secho(f"error: {_on_one_line(text)}", fg="red", err=True)


def table(columns: Sequence[str], rows: Rows) -> None:
    """Print a table on stdout; aligned columns without frames or wrapping when stdout is not a terminal."""
    console = Console(highlight=False)
    if not console.is_terminal:
        _plain_table(columns, rows)
        return
    framed = Table(*columns, box=box.SIMPLE_HEAD)
    for row in rows:
        framed.add_row(*(escape(cell) for cell in row))
    console.print(framed)


def _on_one_line(text: str) -> str:
    """Return the text with line breaks and control characters, as a name may hold them, written as Python writes them."""
    return "".join(repr(character)[1:-1] if unicodedata.category(character) in _BREAKING else character for character in text)


def _plain_table(columns: Sequence[str], rows: Rows) -> None:
    lines = [columns, *rows]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
