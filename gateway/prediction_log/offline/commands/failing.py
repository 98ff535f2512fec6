"""How a command of the offline part ends when it cannot do its work."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from gateway.prediction_log.offline.failure import ExportFailure


@contextmanager
def one_line() -> Iterator[None]:
    """End the command with the one line of an ExportFailure, and exit code 1."""
    try:
        yield
    except ExportFailure as failure:
        raise click.ClickException(str(failure)) from None
