"""What a signature answers: to the samples that the user gave, or else to the first guess that it accepts."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import tensorflow as tf

from model_export.diagnosis.causes import NO_VALUE, cause
from model_export.errors import ExportError
from model_export.sampling import example_apis
from model_export.sampling.sample import Sample, SampleError
from model_export.saved_model import PREDICT_METHOD, Array, Inputs, Signature

# What a call raises for inputs that the model refuses.
FAILURES = (tf.errors.OpError, ValueError, TypeError)

_GUESSING_S = 60.0

Outputs = Mapping[str, Array]
Call = Callable[[Inputs], Outputs]
Warn = Callable[[str], None]


@dataclass(frozen=True)
class Answered:
    """A signature with inputs that it accepted and the outputs that it gave, by alias; from a sample, if the user gave it."""

    signature: Signature
    inputs: Inputs
    outputs: Outputs
    sample: Sample | None = None


def answers_to_samples(signature: Signature, call: Call, samples: Iterable[Sample]) -> list[Answered]:
    """Return the answer to each sample. Raises SampleError for one that fails, with what was expected and what came."""
    return [_answer(signature, call, sample) for sample in samples]


def answer_to_guesses(signature: Signature, call: Call, guesses: Iterable[Inputs], warn: Warn) -> list[Answered]:
    """Return the answer to the first guess that is accepted, alone in a list; warn and return none if there is no such.

    Raises ExportError for a failure that no input would change: something has no value once the model is loaded.
    """
    reason, deadline = "no guess could be made", time.monotonic() + _GUESSING_S
    for number, inputs in enumerate(guesses):
        try:
            return [Answered(signature, inputs, call(inputs))]
        except FAILURES as error:
            if NO_VALUE.search(str(error)):
                raise ExportError(f"signature {signature.name} fails whatever it is sent: {cause(error)}") from error
            reason = cause(error) if number == 0 else reason
            if isinstance(error, tf.errors.DeadlineExceededError) or time.monotonic() > deadline:
                break
    warn(f"signature {signature.name} gets no warm-up: no guess suited it ({reason}); give a request with --sample")
    return []


def _answer(signature: Signature, call: Call, sample: Sample) -> Answered:
    try:
        answered = Answered(signature, sample.inputs, call(sample.inputs), sample)
    except FAILURES as error:
        expected = ", ".join(f"{tensor.name} {tensor.dtype_name}{tensor.shape_text}" for tensor in signature.inputs)
        came = ", ".join(f"{name} {_described(array)}" for name, array in sample.inputs.items())
        raise SampleError(
            f"{sample.place} fails: {cause(error)} (signature {signature.name} expects {expected}; got {came})"
        ) from error
    _require_acceptable(answered, sample)
    return answered


def _require_acceptable(answered: Answered, sample: Sample) -> None:
    """Raise SampleError where the API that the sample asks through refuses the answer."""
    if sample.method == PREDICT_METHOD:
        return
    rows = len(sample.inputs["inputs"])
    reason = example_apis.why_not_answered(sample.method, rows, answered.outputs)
    if reason:
        raise SampleError(f"{sample.place} fails: signature {answered.signature.name}: {reason}")


def _described(array: Array) -> str:
    return f"{'string' if array.dtype == object else array.dtype.name}[{','.join(map(str, array.shape))}]"
