"""`assets.extra/examples.json` of a version: requests that a person may try, which the gateway's console offers by name.

The file is a JSON list of bodies of `:predict` in columnar form, each with a name:
`{"name": "one row", "signature_name": "serving_default", "inputs": {"x": [1.0]}}`. Servers do not read it.
"""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

PATH = Path("assets.extra", "examples.json")
MOST_BYTES = 1_000_000  # what the gateway reads
MOST_EXAMPLES = 20
_DEFAULT_SIGNATURE = "serving_default"

Example = dict[str, Any]


def example(name: str, inputs: Mapping[str, npt.NDArray[Any]], signature: str = _DEFAULT_SIGNATURE) -> Example:
    """Return an example that asks `signature` with these inputs; its floats have as many digits as their dtype tells apart."""
    return {
        "name": name,
        "signature_name": signature,
        "inputs": {input_name: _lists(np.asarray(array)) for input_name, array in inputs.items()},
    }


def write(version_dir: Path, examples: Sequence[Example]) -> int:
    """Write the examples of a version; return how many there was no room for.

    Those that are too large for the rest of the file are left out. Without any, no file is written.
    """
    kept: list[str] = []
    room = MOST_BYTES - len("[\n\n]\n")
    for one in examples:
        text = json.dumps(one)
        if len(kept) < MOST_EXAMPLES and len(text) + len(",\n") <= room:
            kept.append(text)
            room -= len(text) + len(",\n")
    if kept:
        path = version_dir / PATH
        path.parent.mkdir(exist_ok=True)
        path.write_text("[\n{}\n]\n".format(",\n".join(kept)))
    return len(examples) - len(kept)


def _lists(value: Any) -> Any:
    """Return nested lists for JSON. Bytes that are no UTF-8 text become `{"b64": ...}`, as `:predict` takes them."""
    if isinstance(value, np.ndarray):
        return [_lists(part) for part in value] if value.ndim else _lists(value[()])
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return {"b64": b64encode(value).decode("ascii")}
    if isinstance(value, np.floating):
        return float(np.format_float_scientific(value, unique=True))
    return value.item() if isinstance(value, np.generic) else value
