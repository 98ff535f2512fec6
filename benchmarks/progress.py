"""What is being measured, on stderr: a bar on a terminal, plain lines elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars


class Progress:
    """Shows each group and each step in it. Not thread-safe."""

    def __init__(self, console: Console, bars: Bars) -> None:
        self._console = console
        self._bars = bars
        self._task: TaskID | None = None
        self._done = 0

    def begin(self, group: str, steps: int) -> None:
        """Begin a group of so many steps."""
        self._task = self._bars.add_task(group, total=steps, step="")
        self._done = 0
        if not self._console.is_terminal:
            self._console.print(f"{group}: {steps} steps")

    def step(self, text: str) -> None:
        """Begin the next step."""
        if self._task is not None:
            self._bars.update(self._task, completed=self._done, step=text)
        self._done += 1
        if not self._console.is_terminal:
            self._console.print(f"  {text}", soft_wrap=True)

    def end(self) -> None:
        """End the group."""
        if self._task is not None:
            self._bars.update(self._task, completed=self._done, total=self._done, step="")

    def note(self, text: str) -> None:
        """Show what a reader of the result should know."""
        self._console.print(f"note: {text}", soft_wrap=True)


@contextmanager
def shown() -> Iterator[Progress]:
    """Progress on stderr while the block runs."""
    console = Console(stderr=True, highlight=False, markup=False)
    told = TextColumn("{task.fields[step]}")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), told)
    with Bars(*columns, console=console, disable=not console.is_terminal) as bars:
        yield Progress(console, bars)
