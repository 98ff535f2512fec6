"""`python -m model_export`: builds, publishes and looks after the model versions that TensorFlow Serving hosts.

Results go to stdout, progress and errors to stderr. TensorFlow is imported only by the commands that need it.
"""

import sys

import click

from model_export.commands import inspection, release, upkeep
from model_export.exit_status import run


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Build, publish and look after the versioned SavedModels that TensorFlow Serving hosts.

    Every version is checked by loading it as a server does, gets a warm-up file, and appears all at once as
    MODELS_DIR/NAME/NUMBER. Nothing ever overwrites a version.
    """


for _command in (
    release.build,
    release.publish,
    inspection.list_models,
    inspection.show,
    upkeep.prune,
    upkeep.rollback,
    upkeep.restore,
):
    cli.add_command(_command)


if __name__ == "__main__":
    sys.exit(run(cli))
