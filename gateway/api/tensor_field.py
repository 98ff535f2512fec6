"""Signature -> marshmallow schema: one TensorField for each input, numpy inside.

A field refuses a value with a ``Misfit``, which finds every problem of it when asked.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np
from marshmallow import EXCLUDE, Schema, ValidationError, fields

from gateway.codec.elements import Array, Element, element
from gateway.codec.nested_lists import Dims, find_list_problems, lists_to_array
from gateway.codec.problems import MISSING, Problems, cut_text, json_pointer
from gateway.inference.signature import Signature, TensorSpec

_MAX_SCHEMAS = 256  # signatures that a process keeps schemas for; a new version of a model brings new ones


class TensorField(fields.Field[Array]):
    """Nested JSON lists -> one tensor.

    Compatible: dtype and evenness are checked, the declared shape is not. Strict: the value is one example, which must have
    the declared shape without a free dimension 0; that dimension is put before it, with size 1.
    """

    def __init__(self, spec: TensorSpec, strict: bool) -> None:
        self.kind = element(spec.dtype, strict)
        self.dims = example_dims(spec) if strict else None
        self.is_example = strict and spec.has_free_batch
        super().__init__(
            data_key=spec.name,
            required=not (strict and spec.has_default),
            error_messages={"required": [self._misfit(MISSING)], "null": [self._misfit(None)]},
        )

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Array:
        array = lists_to_array(value, self.kind, self.dims)
        if array is None:
            raise ValidationError([self._misfit(value)])
        return array[np.newaxis] if self.is_example else array

    def _misfit(self, value: Any) -> "Misfit":
        return Misfit(value, self.kind, self.dims)


@dataclass(frozen=True, slots=True)
class Misfit:
    """A field's error: a value that is no such tensor. The reasons are only looked for when ``problems`` is called."""

    value: Any
    kind: Element
    dims: Dims | None

    def problems(self) -> Problems:
        """Every reason, with pointers from the value on."""
        return find_list_problems(self.value, self.kind, self.dims)


class InvalidTensors(Exception):
    """Raised when the inputs do not fit: values by input name, and names that no input has."""

    def __init__(self, misfits: Mapping[str, Misfit], known: Sequence[str], unknown: Iterable[str]) -> None:
        super().__init__(f"misfits {sorted(misfits)}")
        self._misfits, self._known, self._unknown = misfits, known, unknown

    def problems(self) -> Problems:
        """Every reason by input, then the unknown names, with pointers from the object of the inputs on."""
        problems = Problems()
        for name in (name for name in self._known if name in self._misfits):
            problems.extend(self._misfits[name].problems(), _inside(name))
        known = cut_text(", ".join(self._known), 200) or "none"
        for name in islice(self._unknown, problems.room):
            problems.note((name,), f"only the inputs {known}", "an unknown name")
        return problems


def load_tensors(signature: Signature, inputs: Mapping[str, Any], *, strict: bool) -> dict[str, Array]:
    """The tensors of ``inputs`` (JSON values by input name).

    Raises InvalidTensors. An unknown name is a problem if ``strict``, and is ignored otherwise.
    """
    names = {spec.name: spec for spec in signature.inputs}
    unknown = [name for name in inputs if name not in names] if strict else []
    try:
        loaded = _schema(signature, strict).load(inputs)
    except ValidationError as error:
        error.__traceback__ = None  # a frame of marshmallow's holds it: together they would hold this request's body
        misfits = {name: messages[0] for name, messages in error.messages_dict.items()}
        raise InvalidTensors(misfits, tuple(names), unknown) from None
    if unknown:
        raise InvalidTensors({}, tuple(names), unknown)
    return {
        name: loaded[attribute] for attribute, name in zip(_attributes(signature), names, strict=True) if attribute in loaded
    }


@lru_cache(maxsize=_MAX_SCHEMAS)
def _schema(signature: Signature, strict: bool) -> Schema:
    tensors: dict[str, fields.Field[Any]] = {
        attribute: TensorField(spec, strict) for attribute, spec in _attributes(signature).items()
    }
    # ``load_tensors`` reports unknown names: marshmallow would make an error of each, and a hostile body has a million.
    return Schema.from_dict(tensors)(unknown=EXCLUDE)


def _attributes(signature: Signature) -> dict[str, TensorSpec]:
    # Not the inputs' names: one called "Meta" or "a.b" means something else to marshmallow.
    return {f"input_{index}": spec for index, spec in enumerate(signature.inputs)}


def _inside(name: str) -> Callable[[str], str]:
    prefix = json_pointer((name,))
    return lambda inner: prefix + inner


def example_dims(spec: TensorSpec) -> Dims | None:
    """The sizes of one example, without a free dimension 0; None if the rank is free."""
    if spec.shape is None:
        return None
    return spec.shape[1:] if spec.has_free_batch else spec.shape
