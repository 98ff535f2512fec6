"""Recognises a refused body that other services take: what it is called, and how to send its content here.

Only refused bodies come here, and recognising one never accepts it. A guess may be wrong, so the sentence says "looks like".
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.api import arrays

ROWS, COLUMNS = "instances", "inputs"
"""The keys of TensorFlow Serving's :predict."""

_LOOKED_AT_BYTES: Final = 4096
_MOST_KEYS: Final = 1000  # of an object that are looked at
_V1: Final = "/v1/models/{model}:predict"


@dataclass(frozen=True, slots=True)
class ForeignBody:
    """What a body looks like, and what to do.

    ``remedy`` may have ``{model}``, which stands for the model's name in a path. ``is_file``: it is the bytes of a file, such
    as an image, which a model may take as a string, or as the numbers in it; then it has no remedy.
    """

    what: str
    remedy: str = ""
    is_file: bool = False


_AS_JSON: Final = "send its values as JSON, or as npy (but not to /v2)"
_AS_ARRAYS: Final = f"POST it to {_V1} or /predict/{{model}} with the header Content-Type: "
_AS_ROWS: Final = f'its rows go into "instances" of {_V1}'
_CSV: Final = ForeignBody("CSV", "each line is one example; send its values as JSON, in the form of the model's inputs")
LINES: Final = ForeignBody("JSON lines", "all lines go into one list, with commas between")
_FORM: Final = ForeignBody("a form", "the body itself must be the JSON")
_PARTS: Final = ForeignBody("multipart/form-data", "the body itself must be the JSON, without parts (curl -d, not curl -F)")
_XML: Final = ForeignBody("XML or HTML", _AS_JSON)
_PYTHON: Final = ForeignBody("a Python literal", "JSON has double quotes, true, false and null: write it with json.dumps")
_TWICE: Final = ForeignBody(
    "JSON inside a JSON string", "encode it once: with requests json=body or data=json.dumps(body), but not both"
)
_BINARY: Final = ForeignBody(
    "binary data, such as protocol buffers", f"{_AS_JSON}; gRPC is spoken on the model server's own port"
)
_PICKLE: Final = ForeignBody("a pickle", f"pickles are never read; {_AS_JSON}")
_MESSAGEPACK: Final = ForeignBody("MessagePack", _AS_JSON)
_PARQUET: Final = ForeignBody("Parquet", _AS_JSON)
_ARROW: Final = ForeignBody("Arrow or Avro", _AS_JSON)
_MAGIC: Final[tuple[tuple[re.Pattern[bytes], ForeignBody], ...]] = (
    (re.compile(rb"\x89PNG\r\n"), ForeignBody("an image (PNG)", is_file=True)),
    (re.compile(rb"\xff\xd8\xff"), ForeignBody("an image (JPEG)", is_file=True)),
    (re.compile(rb"GIF8"), ForeignBody("an image (GIF)", is_file=True)),
    (re.compile(rb"II\*\x00|MM\x00\*"), ForeignBody("an image (TIFF)", is_file=True)),
    (re.compile(rb"RIFF....(WEBP|WAVE|AVI )", re.DOTALL), ForeignBody("an image, sound or video (RIFF)", is_file=True)),
    (re.compile(rb"ID3[\x02-\x04]|OggS\x00|fLaC\x00"), ForeignBody("sound", is_file=True)),
    (re.compile(rb"%PDF-"), ForeignBody("a PDF file", is_file=True)),
    (re.compile(rb"\x93NUMPY"), ForeignBody("numpy's npy", _AS_ARRAYS + arrays.NPY)),
    (re.compile(rb"PK\x03\x04"), ForeignBody("npz or another zip archive", "npz: " + _AS_ARRAYS + arrays.NPZ)),
    (re.compile(rb"\x1f\x8b"), ForeignBody("gzip", "say so with the header Content-Encoding: gzip")),
    (re.compile(rb"\xff\xfe|\xfe\xff|[\[{\"]\x00"), ForeignBody("text in UTF-16", "send it in UTF-8")),
    (re.compile(rb"PAR1"), _PARQUET),
    (re.compile(rb"ARROW1|Obj\x01"), _ARROW),
    (re.compile(rb"\x89HDF"), ForeignBody("HDF5", _AS_JSON)),
    (re.compile(rb"\x80[\x02-\x05][\x80-\xff(}\]cK]"), _PICKLE),
    (re.compile(rb"([\x81-\x8f]|\xde..|\xdf....)[\xa0-\xbf\xd9]", re.DOTALL), _MESSAGEPACK),
)
_OF_TYPE: Final[tuple[tuple[re.Pattern[str], ForeignBody], ...]] = (
    (re.compile(r"(text|application)/(x-)?csv"), _CSV),
    (re.compile(r"application/(x-)?(jsonlines?|ndjson|json-lines|json-seq)"), LINES),
    (re.compile(r"image/.*"), ForeignBody("an image", is_file=True)),
    (re.compile(r"(audio|video)/.*"), ForeignBody("sound or video", is_file=True)),
    (re.compile(r"multipart/.*"), _PARTS),
    (re.compile(r"application/(x-|vnd\.)?(msgpack|messagepack)"), _MESSAGEPACK),
    (re.compile(r"application/(x-)?(python-)?pickle"), _PICKLE),
    (re.compile(r"application/(x-|vnd\.apache\.)?parquet"), _PARQUET),
    (re.compile(r"application/(x-|vnd\.apache\.)?(arrow|avro).*"), _ARROW),
    (re.compile(r"application/(x-|vnd\.google\.)?(protobuf|recordio-protobuf|proto|grpc.*)"), _BINARY),
    (re.compile(r"text/(x-)?libsvm"), ForeignBody("LIBSVM", _AS_JSON)),
    (re.compile(r"(text|application)/(xml|html|xhtml\+xml)"), _XML),
    (re.compile(r"(text|application)/(x-)?yaml"), ForeignBody("YAML", _AS_JSON)),
)
_LOOKS: Final[tuple[tuple[re.Pattern[bytes], ForeignBody], ...]] = (
    (re.compile(rb'\s*"\s*[\[{]'), _TWICE),
    (re.compile(rb"--[^\r\n]+\r?\ncontent-", re.IGNORECASE), _PARTS),
    (re.compile(rb"\s*<[a-zA-Z!?]"), _XML),
    (re.compile(rb"\s*[\[{(][\s\[{(]*'|\s*\("), _PYTHON),
    (re.compile(rb"\s*([\[{])[^\n]*[\]}]\s*\n\s*\1"), LINES),
    (re.compile(rb"[\w.%+\-\[\]]+=[^=\s]"), _FORM),
    (re.compile(rb"\s*[^\s\[\]{},:]+( [^\s\[\]{},:]+)*\s*[,;\t][^\[\]{}]*\Z"), _CSV),
    (re.compile(rb"\s*(?=[^\n]*\n)[-+.\deE\s]+\Z"), _CSV),
)
TFSERVING: Final = ForeignBody(
    "a request for TensorFlow Serving's REST port (SageMaker, Vertex AI, KServe v1)", f"POST it to {_V1}"
)
EXAMPLES: Final = ForeignBody("a request for :classify or :regress", "POST it to /v1/models/{model}:classify")
_OPENINFERENCE: Final = ForeignBody(
    "a request of the Open Inference Protocol (KServe, Triton, MLServer)", "POST it to /v2/models/{model}/infer"
)
_GRPC: Final = ForeignBody("TensorFlow Serving's gRPC request as JSON", "a tensor is nested lists of its values")
_SELDON: Final = {"ndarray", "tensor", "tftensor"}
_BY_KEY: Final = {
    **{key: ForeignBody(f"MLflow's {key}", _AS_ROWS) for key in ("dataframe_split", "dataframe_records", "dataframe_rows")},
    "data": ForeignBody("Seldon's protocol", _AS_ROWS),
    ROWS: TFSERVING,
    COLUMNS: TFSERVING,
    "examples": EXAMPLES,
    "input_data": ForeignBody("Azure ML's input_data", _AS_ROWS),
}
_TYPOS: Final = {name: key for key in (ROWS, COLUMNS) for name in (key.removesuffix("s"), key.capitalize(), key.upper())}


def foreign_bytes(data: bytes, media_type: str) -> ForeignBody | None:
    """What ``data``, which is no JSON object, looks like; ``media_type`` is its Content-Type without parameters."""
    beginning = data[:_LOOKED_AT_BYTES]
    if not beginning.strip():
        return None
    by_type = next((foreign for names, foreign in _OF_TYPE if names.fullmatch(media_type)), None)
    binary = _BINARY if _is_binary(beginning) else None
    return _first(_MAGIC, beginning) or by_type or binary or _first(_LOOKS, beginning)


def foreign_object(document: Any, data: bytes, media_type: str) -> ForeignBody | None:
    """What the body ``data``, which begins with the decoded JSON ``document``, looks like after a route has refused it."""
    if isinstance(document, dict) and len(document) <= _MOST_KEYS:
        foreign = _of_keys(document)
        if foreign is not None:
            return foreign
    return LINES if foreign_bytes(data, media_type) is LINES else None


def misspelt_key(document: Mapping[str, Any]) -> ForeignBody | None:
    """A key of TensorFlow Serving's :predict that ``document`` has in another spelling."""
    name = next((name for name in _TYPOS if name in document), None)
    return None if name is None else ForeignBody(f'a misspelt "{_TYPOS[name]}"', f'the key is "{_TYPOS[name]}", not "{name}"')


def _of_keys(document: Mapping[str, Any]) -> ForeignBody | None:
    if _is_v2(document.get(COLUMNS)):
        return _OPENINFERENCE
    if "model_spec" in document or _has_tensor_proto(document):
        return _GRPC
    data = document.get("data")
    is_seldon = isinstance(data, dict) and bool(_SELDON & data.keys())
    known = (foreign for key, foreign in _BY_KEY.items() if key in document and (key != "data" or is_seldon))
    return next(known, None)


def _first(looks: Iterable[tuple[re.Pattern[bytes], ForeignBody]], beginning: bytes) -> ForeignBody | None:
    return next((foreign for look, foreign in looks if look.match(beginning)), None)


def _is_binary(beginning: bytes) -> bool:
    """Whether there are bytes that no text has: control characters, or what is not UTF-8 (but for a character cut in two)."""
    if any(byte < 32 and byte not in b"\t\n\v\f\r\x1b" for byte in beginning):
        return True
    try:
        beginning.decode()
    except UnicodeDecodeError as error:
        return error.start < len(beginning) - 3
    return False


def _is_v2(inputs: Any) -> bool:
    if not isinstance(inputs, list) or not inputs or not isinstance(inputs[0], dict):
        return False
    return "name" in inputs[0] and bool(inputs[0].keys() & {"datatype", "shape", "data"})


def _has_tensor_proto(document: Mapping[str, Any]) -> bool:
    inputs = document.get(COLUMNS)
    tensors = (*document.values(), *(inputs.values() if isinstance(inputs, dict) else ()))
    return any(isinstance(tensor, dict) and "dtype" in tensor and len(tensor) > 1 for tensor in tensors)
