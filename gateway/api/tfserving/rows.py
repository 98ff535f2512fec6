"""'instances', the row format of :predict: a list of examples, each a value or an object of named inputs.

The values of one input over all examples are one column, and a column is one tensor whose dimension 0 counts the examples.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from gateway.api.tensor_field import InvalidTensors, load
from gateway.api.tfserving import wording
from gateway.codec import b64
from gateway.codec.elements import Array, Element, element
from gateway.codec.nested_lists import find_list_problems
from gateway.codec.problems import MISSING, Problems, cut_text, json_pointer
from gateway.errors import GatewayError, InvalidArgument, Problem
from gateway.inference.signature import Signature

KEY = "instances"


def to_tensors(instances: Sequence[Any], signature: Signature) -> dict[str, Array]:
    """The tensors of a non-empty list of examples, by input name, with one shared dimension 0.

    Raises InvalidArgument: upstream's text for its first problem, then every problem.
    """
    if b64.is_object(instances[0]):
        return _from_objects(instances, signature)
    if len(signature.inputs) > 1:
        raise InvalidArgument(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per tensorinfo_map"
        )
    return _from_values(instances, signature)


def _from_values(instances: Sequence[Any], signature: Signature) -> dict[str, Array]:
    name = signature.inputs[0].name
    try:
        return load(signature, {name: instances}, strict=False)
    except InvalidTensors:
        pass
    kind = element(signature.inputs[0].dtype, strict=False)
    problems = Problems()
    problems.extend(find_list_problems(instances, kind), lambda inner: f"/{KEY}{inner}")
    row = _row_of(problems.kept[0])
    raise _refused(problems, wording.of_plain_instance(row, instances[row], instances[0], kind))


def _from_objects(instances: Sequence[Any], signature: Signature) -> dict[str, Array]:
    names = {spec.name for spec in signature.inputs}
    if all(isinstance(instance, dict) and instance.keys() == names for instance in instances):
        columns = {name: [instance[name] for instance in instances] for name in names}
        try:
            return load(signature, columns, strict=False)
        except InvalidTensors:
            pass
    kinds = {spec.name: element(spec.dtype, strict=False) for spec in signature.inputs}
    columns_problems = [_of_column(instances, name, kind) for name, kind in kinds.items()]
    problems = Problems.merged([_of_names(instances, kinds), *columns_problems], order=_row_of)
    row = _row_of(problems.kept[0])
    raise _refused(problems, wording.of_named_instance(row, instances[row], instances[0], kinds))


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


def _refused(problems: Problems, first: GatewayError | None) -> InvalidArgument:
    return problems.invalid_argument(first.message if first else f"'{KEY}' does not fit the signature")
