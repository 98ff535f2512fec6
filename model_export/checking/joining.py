"""Asks a signature rows alone and together, as a gateway that joins requests would, and tells what it found."""

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

import numpy as np
import tensorflow as tf

from model_export.checking import finding, variations
from model_export.checking.answers import FAILURES, Call, Outputs
from model_export.checking.finding import Finding
from model_export.checking.rows import difference, is_finite, same
from model_export.diagnosis.causes import cause
from model_export.saved_model import Inputs, Signature

# Requests that were answered, with their answers.
Member = tuple[Inputs, Outputs]

# Batches of two and three members: an output of a fixed size coincides with the number of rows of one of them at most.
_BATCHES = (2, 3)
_MOST_MEMBERS = 6
_MOST_GIVEN = 32
_MOST_TRIED = 100
_SEARCHING_S = 60.0
_MOST_GUESSES = 60


def examine(
    signature: Signature, call: Call, answered: Sequence[Member], guesses: Iterable[Inputs], *, given: bool = False
) -> Finding:
    """Compare rows alone and together, on the answered requests, on others like them and on those guesses that are answered.

    Where the user gave the answered requests, these and their rows alone decide, unless they are one single row. A guess whose
    answer is not finite decides nothing: it may be invalid in a way that the model does not refuse. `signature` is the declared
    one, which a gateway goes by. Batches are of two, of three and of all members found, and one has a member twice.
    """
    reason = why_never_joined(signature) or _why_unfit(answered)
    if reason:
        return finding.dependent(reason)
    if not answered:
        return finding.untried("no request is known that the signature answers")
    members = list(islice(_given(call, answered), _MOST_GIVEN)) if given else []
    if len(members) < 2:
        members = list(islice(_members(call, answered, guesses), _MOST_MEMBERS))
    reason = _why_unfit(members) or _unsteady(call, members)
    if reason:
        return finding.dependent(reason)
    if len(members) < 2:
        return finding.untried("no two different requests are known that fit together; give some with --sample")
    reason = _of_batches(call, _batches(members))
    return finding.dependent(reason) if reason else finding.independent()


def why_never_joined(signature: Signature) -> str:
    """Return which input or output is declared so that requests are never joined; empty if all have a free dimension 0.

    An unknown rank counts as free.
    """
    if not signature.inputs:
        return "it takes no input"
    for direction, tensors in (("input", signature.inputs), ("output", signature.outputs)):
        for tensor in tensors:
            if tensor.shape == ():
                return f"{direction} {tensor.name} is declared as a scalar"
            if tensor.shape and tensor.shape[0] is not None:
                return f"{direction} {tensor.name} has a fixed dimension 0"
    return ""


def _why_unfit(answered: Sequence[Member]) -> str:
    """Return what keeps single requests from being joined with others, whatever these are; empty if nothing does."""
    for inputs, outputs in answered:
        scalars = [name for name, array in inputs.items() if not array.ndim]
        if scalars:
            return f"input {scalars[0]} is taken as a scalar"
        rows = {array.shape[0] for array in inputs.values()}
        if len(rows) > 1:
            return "the inputs differ in their numbers of rows"
        reason = difference([outputs], [*rows], outputs)
        if reason:
            return reason
    return ""


def _unsteady(call: Call, members: Sequence[Member]) -> str:
    """Return that the same request got two answers, if it did: then nothing can be compared."""
    for inputs, outputs in members:
        try:
            again = call(inputs)
        except FAILURES as error:
            return f"the same request alone is answered once and fails once ({cause(error)})"
        different = [name for name in outputs if not same({name: outputs[name]}, {name: again[name]})]
        if different:
            return f"output {different[0]}: the same request alone got two different answers"
    return ""


def _of_batches(call: Call, batches: Iterable[Sequence[Member]]) -> str:
    """Return what differs in the first batch that is not answered as its members are alone; empty if all are."""
    for batch in batches:
        rows = [variations.rows_of(inputs) for inputs, _ in batch]
        try:
            joined = call(_joined([inputs for inputs, _ in batch]))
        except FAILURES:
            return f"{sum(rows)} rows together fail, while each alone is answered"
        reason = difference([outputs for _, outputs in batch], rows, joined)
        if reason:
            return reason
    return ""


def _batches(members: Sequence[Member]) -> Iterator[Sequence[Member]]:
    for size in _BATCHES:
        for start in range(0, len(members) - size + 1):
            yield members[start : start + size]
    yield [*members[:2], members[0]]
    yield members[::-1]


def _given(call: Call, answered: Sequence[Member]) -> Iterator[Member]:
    """Yield the rows of the answered requests and the requests themselves, as far as they differ and fit together."""
    known = [inputs for inputs, _ in answered]
    return _answered(call, variations.parts_of(known), known[0])


def _members(call: Call, answered: Sequence[Member], guesses: Iterable[Inputs]) -> Iterator[Member]:
    """Yield requests that differ from each other and fit together: those answered, their rows, variations of these, guesses.

    Left out is what gets no finite answer, or none the second time.
    """
    known = [inputs for inputs, _ in answered]
    requests = chain(variations.of(known), islice(guesses, _MOST_GUESSES))
    for inputs, outputs in _answered(call, requests, known[0]):
        if is_finite(outputs) and _is_answered_again(call, inputs):
            yield inputs, outputs


def _is_answered_again(call: Call, inputs: Inputs) -> bool:
    try:
        return is_finite(call(inputs))
    except FAILURES:
        return False


def _answered(call: Call, requests: Iterable[Inputs], like: Inputs) -> Iterator[Member]:
    seen: list[Inputs] = []
    deadline = time.monotonic() + _SEARCHING_S
    for inputs in islice(requests, _MOST_TRIED):
        if time.monotonic() > deadline:
            return
        if variations.rows_of(inputs) < 1 or not _fit(like, inputs) or any(_equal(inputs, other) for other in seen):
            continue
        seen.append(inputs)
        try:
            yield inputs, call(inputs)
        except tf.errors.DeadlineExceededError:
            return
        except FAILURES:
            continue


def _fit(first: Inputs, second: Inputs) -> bool:
    return all(first[name].shape[1:] == second[name].shape[1:] for name in first)


def _equal(first: Inputs, second: Inputs) -> bool:
    return all(first[name].shape == second[name].shape and bool(np.all(first[name] == second[name])) for name in first)


def _joined(requests: Sequence[Inputs]) -> Inputs:
    return {name: np.concatenate([inputs[name] for inputs in requests]) for name in requests[0]}
