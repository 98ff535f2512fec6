"""An inference request that is read member by member: it is accepted after all, or refused with every problem in one answer.

The client gives the sizes, and they are not trusted: no array is made before they are known to agree.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from marshmallow import Schema

from gateway.api.openinference import form, tensor
from gateway.api.openinference.form import Path
from gateway.codec.elements import Array
from gateway.codec.problems import Problems, cut_text
from gateway.inference.signature import Signature, TensorSpec

_MAX_NAMES: Final = 200  # characters of names in a message


@dataclass(slots=True)
class Reading:
    """Reads one request for one signature. Not thread-safe.

    ``document`` is the request's JSON, read strictly, and ``binary`` is what follows it in the body.
    """

    document: Any
    binary: memoryview
    signature: Signature
    _problems: Problems = field(default_factory=Problems, init=False)

    def tensors(self) -> dict[str, Array]:
        """The input tensors.

        Raises InvalidArgument with every problem: those of the form, then the outputs, then the inputs.
        """
        members = form.read_members(form.REQUEST, self.document, (), self._problems)
        outputs = {spec.name: spec for spec in self.signature.outputs}
        for _ in self._declared("outputs", members.get("outputs") or (), form.OUTPUT, outputs):
            pass
        missing = {spec.name: spec for spec in self.signature.inputs}
        tensors = self._inputs(members.get("inputs", ()), missing)
        for spec in missing.values() if "inputs" in members else ():
            if not spec.has_default:
                expected = f"an input {cut_text(spec.name, _MAX_NAMES)}, {tensor.spec_text(spec)}"
                self._problems.note(("inputs",), expected, "nothing")
        if self._problems.count:
            raise self._problems.invalid_argument(f"the request does not fit the signature {self.signature.name}:")
        return tensors

    def _inputs(self, items: Iterable[Any], missing: dict[str, TensorSpec]) -> dict[str, Array]:
        """The tensors of ``items``, whose declarations are taken out of ``missing``."""
        tensors: dict[str, Array] = {}
        at = 0
        for path, members, spec in self._declared("inputs", items, form.INPUT, missing):
            size = tensor.binary_size(members)
            binary = None if size is None else self.binary[at : at + size]
            at += size or 0
            array = None if spec is None else tensor.input_tensor(members, binary, spec)
            if array is not None:
                tensors[members["name"]] = array
            elif spec is not None:
                tensor.explain_input(members, path, binary, spec, self._problems)
        if self._problems.room and at != len(self.binary):
            end = f"{at} bytes of binary data after the JSON, whose length the header {form.HEADER_LENGTH} gives"
            self._problems.note((), end, f"{len(self.binary)} bytes")
        return tensors

    def _declared(
        self, kind: str, items: Iterable[Any], schema: Schema, specs: dict[str, TensorSpec]
    ) -> Iterator[tuple[Path, Mapping[str, Any], TensorSpec | None]]:
        """The place of each of ``items``, its members that are right, and its declaration, which is taken out of ``specs``.

        The declaration is None for a name that is missing, unknown or repeated.
        """
        names = tuple(specs)
        for index, item in enumerate(items):
            if not self._problems.room:
                return
            path = (kind, index)
            members = form.read_members(schema, item, path, self._problems)
            name = members.get("name")
            spec = None if name is None else specs.pop(name, None)
            if name is not None and spec is None:
                known = cut_text(", ".join(names), _MAX_NAMES) or "(there are none)"
                expected = f"each {kind.removesuffix('s')} once" if name in names else f"one of the {kind} {known}"
                self._problems.add((*path, "name"), expected, name)
            yield path, members, spec
