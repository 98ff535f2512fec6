"""Which signatures Classify and Regress take, and which answers: the rules of TensorFlow Serving's classifier.cc, regressor.cc.

A server does not compare the signature's own method by default, so it is not compared here either.
"""

from collections.abc import Iterator, Mapping

import tensorflow as tf

from model_export.saved_model import CLASSIFY_METHOD, Array, Signature

_CLASS_DTYPES = {"classes": tf.string, "scores": tf.float32}


def why_not_asked(method: str, signature: Signature) -> str:
    """Return why the signature cannot be asked by this method, CLASSIFY_METHOD or REGRESS_METHOD; empty if it can."""
    inputs = [tensor.name for tensor in signature.inputs]
    if inputs != ["inputs"]:
        return f"expected one input, called inputs, got {', '.join(inputs) or 'none'}"
    dtypes = {tensor.name: tensor.dtype.base_dtype for tensor in signature.outputs}
    wrong = _wrong_classes(dtypes) if method == CLASSIFY_METHOD else _wrong_values(dtypes)
    return f"{wrong}, got {', '.join(f'{name} {dtype.name}' for name, dtype in dtypes.items()) or 'none'}" if wrong else ""


def why_not_answered(method: str, rows: int, outputs: Mapping[str, Array]) -> str:
    """Return what a server refuses in the answer to this number of examples; empty if it takes it.

    The outputs are those of a signature that `why_not_asked` finds nothing wrong with.
    """
    problems = _classes_problems(outputs, rows) if method == CLASSIFY_METHOD else _values_problems(outputs["outputs"], rows)
    return next(problems, "")


def _wrong_classes(dtypes: Mapping[str, tf.DType]) -> str:
    chosen = [dtypes[name] == dtype for name, dtype in _CLASS_DTYPES.items() if name in dtypes]
    fits = len(dtypes) <= 2 and chosen and all(chosen)
    return "" if fits else "expected the outputs classes (string) and scores (float32), one or both"


def _wrong_values(dtypes: Mapping[str, tf.DType]) -> str:
    return "" if dict(dtypes) == {"outputs": tf.float32} else "expected one output, called outputs (float32)"


def _classes_problems(outputs: Mapping[str, Array], rows: int) -> Iterator[str]:
    chosen = {name: outputs[name].shape for name in _CLASS_DTYPES if name in outputs}
    for name, shape in chosen.items():
        if len(shape) != 2 or shape[0] != rows:
            yield f"expected output {name} in shape [{rows},classes], got {_text(shape)}"
    if len({shape[1] for shape in chosen.values()}) > 1:
        yield f"expected as many classes as scores, got {' and '.join(map(_text, chosen.values()))}"


def _values_problems(values: Array, rows: int) -> Iterator[str]:
    if values.shape not in {(rows,), (rows, 1)}:
        yield f"expected output outputs in shape [{rows}] or [{rows},1], got {_text(values.shape)}"


def _text(shape: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, shape))}]"
