"""Files of samples, told apart by their content: JSON, .npz, or a TFRecord of PredictionLogs."""

from collections.abc import Sequence
from pathlib import Path

from model_export.sampling import json_body, npz
from model_export.sampling.foreign import what_is
from model_export.sampling.prediction_logs import FRAME_BYTES, MOST_RECORDS, NO_REQUEST, Log, logs_in
from model_export.sampling.sample import SampleError, Unbound

_FORMS = (
    "one JSON body as :predict takes it, JSON lines of bodies, an .npz of arrays by input name, or a TFRecord of PredictionLogs"
)
_BOM = "\ufeff"


def read(path: Path) -> Sequence[Unbound]:
    """Return the samples of a file, not yet held against a model. Raises SampleError, naming what was found instead."""
    if path.exists() and not path.is_file():
        raise SampleError(f"{path}: not a regular file; expected {_FORMS}")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SampleError(f"{path}: {error.strerror}; expected {_FORMS}") from error
    if not content.strip():
        raise SampleError(f"{path}: an empty file; expected {_FORMS}")
    samples = _samples(path, content)
    if len(samples) > MOST_RECORDS:
        raise SampleError(f"{path}: {len(samples)} samples; a server replays at most {MOST_RECORDS}")
    return samples


def _samples(path: Path, content: bytes) -> Sequence[Unbound]:
    if content.startswith(b"PK"):
        return [npz.load(path)]
    if content.startswith(b"\x93NUMPY"):
        raise SampleError(f"{path}: a single array; write it with the input's name: np.savez(file, x=array)")
    text = _text(content)
    if text is not None:
        return json_body.parse(text, str(path))
    if not _may_be_records(content):
        raise SampleError(f"{path}: {what_is(content)}; expected {_FORMS}")
    return _logs(path)


def _logs(path: Path) -> Sequence[Log]:
    logs = logs_in(path, str(path))
    empty = [log for log in logs if log.is_empty]
    if empty:
        raise SampleError(f"{empty[0].place}: {NO_REQUEST}; expected a PredictionLog with a request")
    return logs


def _text(content: bytes) -> str | None:
    """Return the content as text, or None for what is no text: a TFRecord begins with a length of eight bytes."""
    if b"\0" in content[:16]:
        return None
    try:
        return content.decode("utf-8").removeprefix(_BOM)
    except UnicodeDecodeError:
        return None


def _may_be_records(content: bytes) -> bool:
    """Whether the file is long enough for a first record of the length that its first eight bytes tell."""
    return len(content) >= FRAME_BYTES + int.from_bytes(content[:8], "little")
