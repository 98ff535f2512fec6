"""KServe's own models (PyPI kserve), read as text: they say the name and the type of every field, and which must be there.

Importing them would need FastAPI, pandas and what else KServe's server runs with; the classes only hold these tables.
"""

import ast
import importlib.util
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

_SIMPLE = {"str": str, "int": int, "bool": bool, "float": float, "object": dict}
_PART = re.compile(r"(list\[|dict\(str, )(.+)[\])]")


class Model(NamedTuple):
    """A class: the type of each field by its name in YAML, and the fields that must be there."""

    types: dict[str, str]
    required: set[str]


@cache
def models() -> dict[str, Model]:
    [folder] = importlib.util.find_spec("kserve").submodule_search_locations
    found = {}
    for path in Path(folder, "models").glob("v1*.py"):
        text = path.read_text()
        for node in ast.parse(text).body:
            if isinstance(node, ast.ClassDef):
                tables = {
                    statement.targets[0].id: ast.literal_eval(statement.value)
                    for statement in node.body
                    if isinstance(statement, ast.Assign) and statement.targets[0].id in ("openapi_types", "attribute_map")
                }
                names = tables["attribute_map"]
                types = {names[field]: kind for field, kind in tables["openapi_types"].items()}
                required = {names[field] for field in re.findall(r"Invalid value for `(\w+)`, must not be `None`", text)}
                found[node.name] = Model(types, required)
    return found


def problems(value: Any, kind: str, place: str = "") -> tuple[list[str], set[str]]:
    """What is wrong with ``value``, which should be of ``kind``; and the types of Kubernetes' own that were met inside."""
    if kind in models():
        return _of_model(value, models()[kind], place)
    if kind in _SIMPLE:
        return ([] if type(value) is _SIMPLE[kind] else [f"{place}: expected {kind}, got {value!r}"]), set()
    if part := _PART.fullmatch(kind):
        container, inner = (list if part[1] == "list[" else dict), part[2]
        if type(value) is not container:
            return [f"{place}: expected {kind}, got {value!r}"], set()
        items = enumerate(value) if container is list else value.items()
        return _joined(problems(item, inner, f"{place}/{name}") for name, item in items)
    return [], {kind}


def _of_model(value: Any, model: Model, place: str) -> tuple[list[str], set[str]]:
    if type(value) is not dict:
        return [f"{place}: expected an object, got {value!r}"], set()
    wrong = [f"{place}/{name}: there is no such field" for name in value.keys() - model.types.keys()]
    wrong += [f"{place}/{name}: missing" for name in model.required - value.keys()]
    known = {name: item for name, item in value.items() if name in model.types}
    inside, foreign = _joined(problems(item, model.types[name], f"{place}/{name}") for name, item in known.items())
    return wrong + inside, foreign


def _joined(parts: Any) -> tuple[list[str], set[str]]:
    wrong, foreign = [], set()
    for more_wrong, more_foreign in parts:
        wrong += more_wrong
        foreign |= more_foreign
    return wrong, foreign
