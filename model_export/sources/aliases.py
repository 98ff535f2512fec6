"""Names of a signature's inputs that TensorFlow cannot trace: they are put into the finished SavedModel instead.

Tracing names arguments, which must be ASCII identifiers. In the SignatureDef, which is all that servers and clients see, an
alias may be any text.
"""

import keyword
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

_TRACEABLE = re.compile(r"[A-Za-z]\w*", re.ASCII)


def traceable(specs: Sequence[tf.TensorSpec]) -> tuple[list[tf.TensorSpec], dict[str, str]]:
    """Return the specs with names that can be traced, and for each new name the one that it stands for."""
    alike = len({spec.name.lower() for spec in specs}) < len(specs)  # the graph's names do not differ by case alone
    if not alike and all(map(_is_traceable, specs)):
        return list(specs), {}
    renamed = [tf.TensorSpec(spec.shape, spec.dtype, f"input_{number}") for number, spec in enumerate(specs)]
    return renamed, {new.name: old.name for new, old in zip(renamed, specs, strict=True)}


def _is_traceable(spec: tf.TensorSpec) -> bool:
    return bool(_TRACEABLE.fullmatch(spec.name)) and not keyword.iskeyword(spec.name) and spec.name != "self"


def restore(folder: Path, names: Mapping[str, Mapping[str, str]]) -> None:
    """Give the inputs of each signature the names that they stand for: signature -> traced name -> alias."""
    if not any(names.values()):
        return
    path = folder / "saved_model.pb"
    saved_model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    for graph in saved_model.meta_graphs:
        for signature, aliases in names.items():
            inputs = graph.signature_def[signature].inputs
            declared = type(graph.signature_def[signature])()
            declared.CopyFrom(graph.signature_def[signature])
            inputs.clear()
            for traced, info in declared.inputs.items():
                inputs[aliases.get(traced, traced)].CopyFrom(info)
    path.write_bytes(saved_model.SerializeToString())
    (folder / "fingerprint.pb").unlink(missing_ok=True)  # it holds a checksum of the file as it was; servers do without it
