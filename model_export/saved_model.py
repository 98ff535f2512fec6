"""SavedModels on disk: their signatures, read from `saved_model.pb` alone, and a session that has one loaded.

Loading goes through TensorFlow's TF1 loader into a session, as TensorFlow Serving does it: what loads here loads there.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from google.protobuf import text_format
from google.protobuf.message import DecodeError
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from model_export.diagnosis.causes import cause
from model_export.errors import ExportError, first_line

Array = npt.NDArray[np.generic]
Inputs = Mapping[str, Array]

SERVING_TAG = "serve"
PREDICT_METHOD = "tensorflow/serving/predict"
CLASSIFY_METHOD = "tensorflow/serving/classify"
REGRESS_METHOD = "tensorflow/serving/regress"

# Signatures that exporters add for loaders, such as __saved_model_init_op; they are no part of what a model offers.
_BOOKKEEPING_PREFIX = "__"

PLAIN, SPARSE, RAGGED, COMPOSITE, UNTYPED = "plain", "sparse", "ragged", "composite", "untyped"


@dataclass(frozen=True)
class Tensor:
    """One input or output of a signature.

    `tensor` is its name in the graph, as in `x:0`; empty unless its kind is PLAIN. `shape` holds None for a free dimension;
    `shape` itself is None when not even the rank is known. `kind` tells how the declaration encodes it: PLAIN, the parts of a
    SPARSE or RAGGED tensor, another COMPOSITE, or UNTYPED, without a valid dtype. `dtype` is variant where none is told.
    """

    name: str
    tensor: str
    dtype: tf.DType
    shape: tuple[int | None, ...] | None
    kind: str = PLAIN

    @property
    def dtype_name(self) -> str:
        """The dtype as the serving protocols name it: float, int64, string."""
        return str(types_pb2.DataType.Name(self.dtype.as_datatype_enum)).removeprefix("DT_").lower()

    @property
    def shape_text(self) -> str:
        """The shape as in `[-1,10]`, or `[?]` when the rank is not known; led by the kind of what is no plain tensor."""
        text = "[?]" if self.shape is None else f"[{','.join('-1' if d is None else str(d) for d in self.shape)}]"
        return text if self.kind == PLAIN else f"{self.kind} {text}"


@dataclass(frozen=True)
class Signature:
    """One way to call a model, as its SignatureDef declares it."""

    name: str
    method: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def read_meta_graph(path: Path) -> meta_graph_pb2.MetaGraphDef:
    """Return the graph that serves, from the SavedModel directory `path`, without running anything.

    Raises ExportError when there is no readable SavedModel, or none of its graphs has the tag `serve`.
    """
    proto = _read_proto(path)
    tagged = [graph for graph in proto.meta_graphs if set(graph.meta_info_def.tags) == {SERVING_TAG}]
    if not tagged:
        tags = "; ".join(",".join(graph.meta_info_def.tags) for graph in proto.meta_graphs) or "no graph at all"
        raise ExportError(f"{path} cannot be served: no graph has the tag set {{{SERVING_TAG}}}, found: {tags}")
    return tagged[0]


def signatures_of(graph: meta_graph_pb2.MetaGraphDef) -> tuple[Signature, ...]:
    """Return the signatures that a client can call, by name."""
    return tuple(
        Signature(name, definition.method_name, _tensors(definition.inputs), _tensors(definition.outputs))
        for name, definition in sorted(graph.signature_def.items())
        if not name.startswith(_BOOKKEEPING_PREFIX)
    )


def read_signatures(path: Path) -> tuple[Signature, ...]:
    """Return the signatures of the SavedModel directory `path`. Raises ExportError like `read_meta_graph`."""
    return signatures_of(read_meta_graph(path))


@contextmanager
def loaded(path: Path) -> Iterator[tf.compat.v1.Session]:
    """Give a session in which the model is loaded and initialised. Raises ExportError when it cannot be."""
    graph, config = tf.Graph(), tf.compat.v1.ConfigProto(allow_soft_placement=True)
    with closing(tf.compat.v1.Session(graph=graph, config=config)) as session:
        try:
            with graph.as_default():
                tf.compat.v1.saved_model.load(session, [SERVING_TAG], str(path))
        except Exception as error:  # a damaged graph fails in any way that TensorFlow's Python code can
            raise ExportError(f"the model does not load: {_cause(path, error)}") from error
        yield session


def _cause(path: Path, error: Exception) -> str:
    if "not a valid checkpoint" in str(error):
        return "its variables are missing or incomplete: copy the whole directory, variables/ included"
    if isinstance(error, tf.errors.DataLossError | tf.errors.OutOfRangeError):
        return f"its variables are damaged or cut off: copy the whole directory again ({cause(error)})"
    return cause(error)


def _read_proto(path: Path) -> saved_model_pb2.SavedModel:
    proto = saved_model_pb2.SavedModel()
    binary, text = path / "saved_model.pb", path / "saved_model.pbtxt"
    try:
        if binary.is_file():
            proto.ParseFromString(binary.read_bytes())
        elif text.is_file():
            text_format.Parse(text.read_text(), proto)
        else:
            raise ExportError(f"{path} is not a SavedModel: it holds no saved_model.pb")
    except DecodeError as error:
        size = binary.stat().st_size
        reason = f"its saved_model.pb ({size} bytes) is damaged or some other file"
        raise ExportError(f"{path} is not a SavedModel: {reason}") from error
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise ExportError(f"{path} is not a SavedModel: its saved_model.pbtxt is damaged ({first_line(error)})") from error
    return proto


def _tensors(infos: Mapping[str, Any]) -> tuple[Tensor, ...]:
    return tuple(_tensor(name, info) for name, info in sorted(infos.items()))


def _tensor(name: str, info: Any) -> Tensor:
    encoding = info.WhichOneof("encoding")
    if encoding == "composite_tensor":
        return _composite(name, info.composite_tensor.type_spec)
    dtype, shape = _dtype(info.dtype), _dims(info.tensor_shape)
    if encoding == "coo_sparse":
        return Tensor(name, "", dtype or tf.variant, shape, SPARSE)
    if dtype is None or not info.name:
        return Tensor(name, "", dtype or tf.variant, shape, UNTYPED)
    return Tensor(name, info.name if ":" in info.name else f"{info.name}:0", dtype, shape)


def _composite(name: str, spec: Any) -> Tensor:
    """Return a tensor that is declared by a TypeSpecProto, with the first dtype and shape that its state tells."""
    kinds = {"RAGGED_TENSOR_SPEC": RAGGED, "SPARSE_TENSOR_SPEC": SPARSE}
    kind = kinds.get(type(spec).TypeSpecClass.Name(spec.type_spec_class), COMPOSITE)
    state = spec.type_state
    values = state.tuple_value.values if state.HasField("tuple_value") else [state]
    dtypes = [dtype for value in values if (dtype := _dtype(value.tensor_dtype_value))]
    shapes = [_dims(value.tensor_shape_value) for value in values if value.HasField("tensor_shape_value")]
    return Tensor(name, "", [*dtypes, tf.variant][0], [*shapes, None][0], kind)


def _dtype(number: int) -> tf.DType | None:
    try:
        return tf.dtypes.as_dtype(number)
    except TypeError:
        return None


def _dims(shape: Any) -> tuple[int | None, ...] | None:
    return None if shape.unknown_rank else tuple(None if dim.size < 0 else int(dim.size) for dim in shape.dim)
