"""From something that can write a SavedModel to a version that servers load: write, check, warm up, publish."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from model_export import publication, warmup
from model_export.check import Verdict, check
from model_export.errors import ExportError, first_line
from model_export.saved_model import read_meta_graph
from model_export.state import changes_state
from model_export.versions import Version, check_model_name
from model_export.warmup_replay import replay

Writer = Callable[[Path], None]
Report = Callable[[str], None]


@dataclass(frozen=True)
class Release:
    """A published version and what its check found."""

    model: str
    version: Version
    verdict: Verdict


def release(models_dir: Path, model: str, write: Writer, report: Report) -> Release:
    """Publish what `write` puts into an empty folder as the next version of the model.

    `report` is called with the name of each step as it begins. Raises ExportError or OSError, and then nothing changed.
    """
    check_model_name(model)

    def prepare(folder: Path) -> Verdict:
        try:
            report("writing")
            write(folder)
            report("checking every signature")
            verdict = check(folder)
            _add_warmup(folder, model, verdict, report)
        except ExportError as error:  # by the time that it is read, this folder is gone
            raise ExportError(str(error).replace(f"{folder}{os.sep}", "")) from error
        return verdict

    try:
        version, verdict = publication.publish(models_dir / model, prepare)
    except tf.errors.OpError as error:
        raise ExportError(f"TensorFlow could not write the model: {first_line(error)}") from error
    return Release(model, version, verdict)


def _add_warmup(folder: Path, model: str, verdict: Verdict, report: Report) -> None:
    """Write a warm-up file, unless the model brought its own: that one is kept, once it was seen to pass."""
    own = folder / warmup.PATH
    if own.is_file() and own.stat().st_size:
        report(f"replaying {warmup.PATH}")
        replay(folder, verdict.signatures)
        return
    graph = read_meta_graph(folder)
    changing = {answer.signature.name for answer in verdict.answered if changes_state(graph, answer.signature)}
    for name in sorted(changing):
        report(f"signature {name} changes the model's state, so it is left out of the warm-up")
    warmup.write(folder, model, [answer for answer in verdict.answered if answer.signature.name not in changing])
