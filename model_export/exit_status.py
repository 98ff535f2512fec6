"""How a command ends: one line for every foreseeable failure, and an exit status that scripts can rely on.

0 done, 1 refused or failed, 2 wrong usage, 130 interrupted, 143 terminated.
"""

import sys
from collections.abc import Sequence

import click

from model_export import console, termination
from model_export.errors import ExportError
from model_export.models_dir import describe


def run(cli: click.Group, arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments (default: the process's own) name, and return its exit status.

    SIGTERM unwinds like Ctrl-C does, so that temporary folders are removed.
    """
    termination.watch()
    try:
        status = cli.main(arguments, prog_name="python -m model_export", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        console.fail("interrupted; versions reported above stay, nothing else was published")
        return 130
    except BrokenPipeError:
        sys.stdout = None  # its reader has left; the interpreter must not flush it again
        return 1
    except (ExportError, OSError) as error:
        console.fail(describe(error) if isinstance(error, OSError) else str(error))
        return 1
    return status if isinstance(status, int) else 0
