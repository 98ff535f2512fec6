"""What a `.keras` file says about itself, read from its `config.json` without making any layer."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def python_code_in(path: Path) -> list[str]:
    """Return the names of the layers that hold a Python lambda, which Keras does not load; none for a file that is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, RecursionError):
        return []
    return list(dict.fromkeys(_layers_with_code(config, "")))


def _layers_with_code(value: Any, layer: str) -> Iterator[str]:
    """Yield the name of the layer around each lambda. Keras writes one as class_name __lambda__, or as a list with its code."""
    if isinstance(value, list):
        for element in value:
            yield from _layers_with_code(element, layer)
    if not isinstance(value, dict):
        return
    if value.get("class_name") == "__lambda__" or _is_bare_code(value):
        yield layer
        return
    config = value.get("config")
    name = config.get("name") if isinstance(config, dict) and "class_name" in value else None
    for child in value.values():
        yield from _layers_with_code(child, name if isinstance(name, str) and not _is_dtype(value) else layer)


def _is_bare_code(value: dict[str, Any]) -> bool:
    code = value.get("value")
    return value.keys() == {"value"} and isinstance(code, list) and len(code) == 3 and isinstance(code[0], str)


def _is_dtype(value: dict[str, Any]) -> bool:
    return value.get("class_name") == "DTypePolicy"
