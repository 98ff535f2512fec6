"""Versions and signatures as table rows and as JSON values. Needs no TensorFlow."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from model_export.versions import Version

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from model_export.checking.finding import Finding
    from model_export.saved_model import Signature, Tensor

VERSION_COLUMNS = ("MODEL", "VERSION", "STATE", "SIZE", "MODIFIED")
SIGNATURE_COLUMNS = ("SIGNATURE", "METHOD", "", "TENSOR", "DTYPE", "SHAPE")

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def state(version: Version) -> str:
    """Say what a server makes of the version: `in service` covers all that it may load, by its version policy."""
    if version.withdrawn:
        return "withdrawn"
    found = any((version.path / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt"))
    return "in service" if found else "no saved_model.pb"


def version_row(model: str, version: Version) -> tuple[str, ...]:
    """Return the cells under VERSION_COLUMNS."""
    modified = _modified(version).strftime("%Y-%m-%d %H:%M")
    return model, str(version.number), state(version), human_size(version.size_bytes), modified


def version_json(model: str, version: Version) -> dict[str, Any]:
    """Return what `version_row` shows, with exact numbers and an ISO time."""
    return {
        "model": model,
        "version": version.number,
        "state": state(version),
        "path": str(version.path),
        "size_bytes": version.size_bytes,
        "modified": _modified(version).isoformat(timespec="seconds"),
    }


def signature_rows(signatures: Iterable[Signature]) -> list[tuple[str, ...]]:
    """Return the cells under SIGNATURE_COLUMNS, one row for each tensor; the signature's name leads its first row."""
    return [row for signature in signatures for row in _rows(signature)]


def signatures_json(signatures: Iterable[Signature]) -> dict[str, Any]:
    """Return signature name -> method, inputs and outputs; a free dimension is -1, an unknown rank null.

    What is no plain tensor also has its `kind`, such as `ragged`.
    """
    return {
        signature.name: {
            "method": signature.method,
            "inputs": {tensor.name: _tensor_json(tensor) for tensor in signature.inputs},
            "outputs": {tensor.name: _tensor_json(tensor) for tensor in signature.outputs},
        }
        for signature in signatures
    }


def finding_lines(findings: Mapping[str, Finding]) -> list[str]:
    """Return one line for each signature: whether its rows are independent."""
    return [f"signature {name}: {found.text}" for name, found in findings.items()]


def findings_json(findings: Mapping[str, Finding]) -> dict[str, Any]:
    """Return signature name -> `independent` (null where it could not be tried) and the `text` that says it."""
    return {name: {"independent": found.independent, "text": found.text} for name, found in findings.items()}


def human_size(size_bytes: int) -> str:
    """Return the size with one decimal and the largest unit that keeps it at 1 or more."""
    size, unit = float(size_bytes), 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.1f} {_UNITS[unit]}" if unit else f"{size_bytes} B"


def _rows(signature: Signature) -> list[tuple[str, ...]]:
    tensors = [("in", tensor) for tensor in signature.inputs] + [("out", tensor) for tensor in signature.outputs]
    heads = [(signature.name, signature.method.rpartition("/")[2]), *[("", "")] * (len(tensors) - 1)]
    return [
        (*head, direction, tensor.name, tensor.dtype_name, tensor.shape_text)
        for head, (direction, tensor) in zip(heads, tensors, strict=False)
    ]


def _tensor_json(tensor: Tensor) -> dict[str, Any]:
    shape = None if tensor.shape is None else [-1 if dim is None else dim for dim in tensor.shape]
    described = {"dtype": tensor.dtype_name, "shape": shape}
    return described if tensor.kind == "plain" else described | {"kind": tensor.kind}


def _modified(version: Version) -> datetime:
    return datetime.fromtimestamp(version.modified_s).astimezone()
