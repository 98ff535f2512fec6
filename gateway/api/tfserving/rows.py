"""'instances', the row format of :predict: a list of examples, each a value or an object of named inputs.

The values of one input over all examples are one column, and a column is one tensor whose dimension 0 counts the examples.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from gateway.api.tfserving import wording
from gateway.api.tfserving.columns import named_tensors, only_tensor
from gateway.codec import b64
from gateway.codec.elements import Array, Element, element
from gateway.codec.large_json import NumberBlock
from gateway.codec.nested_lists import complete_tensors, find_list_problems, lists_to_array
from gateway.codec.problems import MISSING, Problems, cut_text, json_pointer
from gateway.errors import InvalidArgument, Problem
from gateway.inference.signature import Signature, TensorSpec

KEY = "instances"


def row_tensors(instances: Any, signature: Signature) -> dict[str, Array] | None:
    """The tensors of a list of examples, by input name, with one shared dimension 0; None if anything is wrong."""
    if isinstance(instances, NumberBlock):
        return only_tensor(instances, signature) if instances.shape[0] else None
    if not isinstance(instances, list) or not instances:
        return None
    if not b64.is_object(instances[0]):
        return only_tensor(instances, signature)
    names = {spec.name for spec in signature.inputs}
    if not all(isinstance(instance, dict) and instance.keys() == names for instance in instances):
        return None
    columns = {name: [instance[name] for instance in instances] for name in names}
    if any(isinstance(value, NumberBlock) for values in columns.values() for value in values):
        return complete_tensors((spec.name, _column(columns[spec.name], spec)) for spec in signature.inputs)
    return named_tensors(columns, signature)


def row_refusal(instances: Sequence[Any], specs: Sequence[TensorSpec]) -> InvalidArgument:
    """Why a non-empty list makes no tensors: upstream's text for its first problem, then every problem."""
    kinds = {spec.name: element(spec.dtype, strict=False) for spec in specs}
    if b64.is_object(instances[0]):
        columns_problems = [_of_column(instances, name, kind) for name, kind in kinds.items()]
        problems = Problems.merged([_of_names(instances, kinds), *columns_problems], order=_row_of)
        row = _row_of(problems.kept[0])
        first = wording.named_instance_refusal(row, instances[row], instances[0], kinds)
    elif len(specs) > 1:
        return InvalidArgument(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per tensorinfo_map"
        )
    else:
        (kind,) = kinds.values()
        problems = Problems()
        problems.extend(find_list_problems(instances, kind), lambda inner: f"/{KEY}{inner}")
        row = _row_of(problems.kept[0])
        first = wording.plain_instance_refusal(row, instances[row], instances[0], kind)
    return problems.invalid_argument(first.message if first else f"'{KEY}' does not fit the signature")


def _column(values: list[Any], spec: TensorSpec) -> Array | None:
    """The tensor of the values of one input over all instances, some of which are NumberBlocks."""
    kind = element(spec.dtype, strict=False)
    arrays = [array for array in (lists_to_array(value, kind) for value in values) if array is not None]
    if len(arrays) < len(values) or len({array.shape for array in arrays}) > 1:
        return None
    return arrays[0][np.newaxis] if len(arrays) == 1 else np.stack(arrays)


def _of_names(instances: Sequence[Any], kinds: Mapping[str, Element]) -> Problems:
    """The instances that are no objects, the names that are missing and those that no input has."""
    problems = Problems()
    known = cut_text(", ".join(kinds), 200)
    for row, instance in enumerate(instances):
        if not problems.room:
            break
        if not b64.is_object(instance):
            problems.add((KEY, row), f"an object with {known}", instance)
            continue
        for name in (name for name in kinds if name not in instance):
            problems.add((KEY, row, name), f"{kinds[name].noun} (every instance needs it)", MISSING)
        for name in islice((name for name in instance if name not in kinds), problems.room):
            problems.note((KEY, row, name), f"only the inputs {known}", "an unknown name")
    return problems


def _of_column(instances: Sequence[Any], name: str, kind: Element) -> Problems:
    """The problems of one input in the instances that have it."""
    rows = [row for row, instance in enumerate(instances) if b64.is_object(instance) and name in instance]
    problems = Problems()
    found = find_list_problems([instances[row][name] for row in rows], kind)
    problems.extend(found, lambda inner: _in_instances(inner, rows, name))
    return problems


def _in_instances(inner: str, rows: Sequence[int], name: str) -> str:
    _, *steps = inner.split("/")
    if not steps:
        return f"/{KEY}"
    return "".join([f"/{KEY}/{rows[int(steps[0])]}", json_pointer((name,)), *(f"/{step}" for step in steps[1:])])


def _row_of(problem: Problem) -> int:
    steps = problem.pointer.split("/")
    return int(steps[2]) if len(steps) > 2 else 0
