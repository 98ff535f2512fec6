"""From something that can write a SavedModel to a version that servers load: write, check, warm up, publish."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from model_export import request_examples
from model_export.checking import finding
from model_export.checking.check import Verdict, check
from model_export.checking.state import changes_state
from model_export.diagnosis.causes import cause
from model_export.errors import ExportError
from model_export.publishing import publication, warmup
from model_export.sampling.prediction_logs import MOST_RECORDS
from model_export.sampling.sample import Unbound
from model_export.saved_model import PREDICT_METHOD, read_meta_graph
from model_export.versions import Version, check_model_name

Writer = Callable[[Path], None]
Report = Callable[[str], None]


@dataclass(frozen=True)
class Release:
    """A published version and what its check found."""

    model: str
    version: Version
    verdict: Verdict


def release(
    models_dir: Path,
    model: str,
    write: Writer,
    report: Report,
    samples: Sequence[Unbound] = (),
    *,
    before_it_appears: Callable[[], None] = lambda: None,
) -> Release:
    """Publish what `write` puts into an empty folder as the next version of the model.

    `samples` are requests that it must answer; they become the warm-up of their signatures. `report` is called with the name
    of each step as it begins, and `before_it_appears` when nothing but the rename is left. Raises ExportError or OSError, and
    then nothing changed.
    """
    check_model_name(model)

    def prepare(folder: Path) -> Verdict:
        try:
            report("writing")
            write(folder)
            report("checking every signature")
            verdict = _check(folder, samples, report)
            _add_examples(folder, verdict, report)
            _add_warmup(folder, model, verdict, samples, report)
            finding.write(folder, verdict.findings)
        except ExportError as error:  # by the time that it is read, this folder is gone
            raise ExportError(str(error).replace(f"{folder}{os.sep}", "")) from error
        return verdict

    try:
        version, verdict = publication.publish(models_dir / model, prepare, before_it_appears)
    except tf.errors.OpError as error:
        raise ExportError(f"TensorFlow could not write the model: {cause(error)}") from error
    return Release(model, version, verdict)


def _check(folder: Path, samples: Sequence[Unbound], report: Report) -> Verdict:
    """Check with the samples and the requests of the model's own warm-up file."""
    own = warmup.read(folder)
    if own:
        report(f"replaying {warmup.PATH}")
    return check(folder, [*samples, *own])


def _add_warmup(folder: Path, model: str, verdict: Verdict, samples: Sequence[Unbound], report: Report) -> None:
    """Write a warm-up file. One that the model brought is kept as it is; with samples, its requests and they are in it."""
    if warmup.read(folder) and not samples:
        return
    graph = read_meta_graph(folder)
    changing = {answer.signature.name for answer in verdict.answered if changes_state(graph, answer.signature)}
    for name in sorted(changing):
        report(f"signature {name} changes the model's state, so it is left out of the warm-up")
    kept = [answer for answer in verdict.answered if answer.signature.name not in changing]
    records = warmup.records(model, kept)
    if len(records) > MOST_RECORDS:
        raise ExportError(f"there are {len(records)} warm-up requests; a server refuses more than {MOST_RECORDS}")
    warmup.write(folder, records)


def _add_examples(folder: Path, verdict: Verdict, report: Report) -> None:
    """Write the samples as examples that a person may try. Without samples, a file that the model brought stays as it is."""
    own = {log.place for log in warmup.read(folder)}
    answered = [answer.sample for answer in verdict.answered if answer.sample and answer.sample.place not in own]
    samples = [sample for sample in answered if sample.method == PREDICT_METHOD]
    examples = [
        request_examples.example(Path(sample.place).name, sample.inputs, sample.signature.name)
        for sample in samples
        if all(array.dtype.kind != "c" for array in sample.inputs.values())  # JSON has no complex numbers
    ]
    left_out = request_examples.write(folder, examples)
    if left_out:
        report(f"{left_out} samples do not fit into {request_examples.PATH}")
