"""The check before a publication: the model loads the way a server loads it, and its signatures answer."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2

from model_export.checking import finding, joining
from model_export.checking.answers import Answered, Call, answer_to_guesses, answers_to_samples
from model_export.checking.example_features import dense_features, make_example
from model_export.checking.finding import Finding
from model_export.checking.guesses import guesses
from model_export.checking.state import changes_state
from model_export.checking.texts import likely_strings
from model_export.checking.uncallable import why_uncallable
from model_export.errors import ExportError
from model_export.sampling.sample import Unbound
from model_export.saved_model import Array, Inputs, Signature, loaded, read_meta_graph, signatures_of

_TIMEOUT_MS = 60_000

Warn = Callable[[str], None]


@dataclass(frozen=True)
class Verdict:
    """What a check found: every signature, what was answered, why some could not be tried, and whether rows are independent."""

    signatures: tuple[Signature, ...]
    answered: tuple[Answered, ...]
    warnings: tuple[str, ...]
    findings: Mapping[str, Finding] = field(default_factory=dict)


def check(path: Path, given: Sequence[Unbound] = ()) -> Verdict:
    """Load the SavedModel directory and call each signature, with the samples given or else with guesses.

    Raises ExportError if it does not load, has no signature, has one that can never be called, or fails for a sample or in a
    way that no input would change. A signature that accepts no guess is named in the warnings instead, and so is an input
    that the graph takes in another dtype than declared: servers go by the graph.
    """
    graph = read_meta_graph(path)
    signatures = require_callable(graph)
    strings = likely_strings(make_example(dense_features(graph)))
    warnings: list[str] = []
    with loaded(path) as session:
        in_graph = {declared.name: _as_in_graph(session.graph, declared, warnings.append) for declared in signatures}
        samples = [sample for unbound in given for sample in unbound.bind(in_graph)]
        answered: list[Answered] = []
        findings = {}
        for declared in signatures:
            signature, call = in_graph[declared.name], partial(run, session, in_graph[declared.name])
            mine = [sample for sample in samples if sample.signature.name == declared.name]
            if mine:
                answers = answers_to_samples(signature, call, mine)
            else:
                answers = answer_to_guesses(signature, call, guesses(signature, strings), warnings.append)
            findings[declared.name] = _finding(graph, declared, call, answers, guesses(signature, strings))
            answered.extend(answers)
    return Verdict(signatures, tuple(answered), tuple(warnings), findings)


def require_callable(graph: meta_graph_pb2.MetaGraphDef) -> tuple[Signature, ...]:
    """Return the graph's signatures. Raises ExportError if there are none, or if no client can ever call one of them."""
    signatures = signatures_of(graph)
    if not signatures:
        raise ExportError(
            "the model has no signatures, so there is nothing to call; write @tf.function(input_signature=[...]) above a"
            " function of the tf.Module, or export a Keras model with model.export(folder) after it was called once"
        )
    for signature in signatures:
        reason = why_uncallable(graph, signature)
        if reason:
            raise ExportError(f"signature {signature.name} can never be called: {reason}")
    return signatures


def _finding(
    graph: meta_graph_pb2.MetaGraphDef,
    declared: Signature,
    call: Call,
    answers: Sequence[Answered],
    more: Iterable[Inputs],
) -> Finding:
    if not joining.why_never_joined(declared) and changes_state(graph, declared):
        return finding.untried("it changes the model's state")
    members = [(answer.inputs, answer.outputs) for answer in answers]
    return joining.examine(declared, call, members, more, given=any(answer.sample for answer in answers))


def _as_in_graph(graph: tf.Graph, declared: Signature, warn: Warn) -> Signature:
    """Return the signature with the dtypes of the graph's own placeholders, and their shapes where none was declared."""
    inputs = []
    for tensor in declared.inputs:
        placeholder = _in_graph(graph, declared, tensor.tensor)
        # Old exporters left the shape out, which reads as a scalar's.
        shape = tensor.shape or _shape(placeholder)
        inputs.append(replace(tensor, dtype=placeholder.dtype.base_dtype, shape=shape))
        if inputs[-1].dtype != tensor.dtype.base_dtype:
            actual = inputs[-1].dtype_name
            warn(f"signature {declared.name} declares {tensor.name} as {tensor.dtype_name}, but the graph takes {actual}")
    for tensor in declared.outputs:
        _in_graph(graph, declared, tensor.tensor)
    return replace(declared, inputs=tuple(inputs))


def _in_graph(graph: tf.Graph, declared: Signature, name: str) -> tf.Tensor:
    try:
        return graph.get_tensor_by_name(name)
    except (KeyError, ValueError) as error:
        raise ExportError(f"signature {declared.name}: the graph has no tensor {name}") from error


def _shape(tensor: tf.Tensor) -> tuple[int | None, ...] | None:
    return None if tensor.shape.rank is None else tuple(tensor.shape.as_list())


def run(session: tf.compat.v1.Session, signature: Signature, inputs: Inputs) -> dict[str, Array]:
    """Call one signature with raw feeds, as a server does: declared shapes bind nobody. Inputs and outputs go by alias.

    Raises KeyError for a missing input and else what TensorFlow raises; UnicodeDecodeError stands for errors whose text
    quotes bytes that are no UTF-8, as for a garbled tf.Example.
    """
    options = config_pb2.CallableOptions(
        feed=[tensor.tensor for tensor in signature.inputs],
        fetch=[tensor.tensor for tensor in signature.outputs],
        run_options=config_pb2.RunOptions(timeout_in_ms=_TIMEOUT_MS),
    )
    values = [inputs[tensor.name] for tensor in signature.inputs]
    # Session.run would refuse shapes that a server takes. Private, hence the pinned TensorFlow; test_examples.py covers it.
    outputs = session._make_callable_from_options(options)(*values)
    return {tensor.name: np.asarray(value) for tensor, value in zip(signature.outputs, outputs, strict=True)}
