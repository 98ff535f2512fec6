"""Why an inference request does not fit a signature: every problem, in one answer.

The sizes are those that the client gives, and are trusted nowhere: no array is made before they are known to agree.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.api.openinference import form, tensor
from gateway.api.openinference.strictness import Path
from gateway.codec.problems import Problems, cut_text
from gateway.inference.signature import Signature, TensorSpec

_MAX_NAMES: Final = 200  # characters of names in a message


@dataclass(slots=True)
class Refusal:
    """Looks for the problems of one request with one signature. Not thread-safe.

    ``document`` is the request's JSON, read strictly, and ``binary`` is what follows it in the body.
    """

    document: Any
    binary: memoryview
    signature: Signature
    problems: Problems = field(default_factory=Problems)

    def find(self) -> Problems:
        """Every problem: those of the form, then the outputs, then the inputs."""
        members = form.read(form.REQUEST, self.document, (), self.problems)
        self._check_outputs(members.get("outputs") or ())
        specs = {spec.name: spec for spec in self.signature.inputs}
        seen: set[str] = set()
        for item, path, binary in self._inputs(members.get("inputs", ())):
            spec = self._spec(item.get("name"), (*path, "name"), specs, seen)
            if spec is not None:
                tensor.explain(item, path, binary, spec, self.problems)
        if "inputs" in members:
            self._check_complete(specs, seen)
        return self.problems

    def _check_outputs(self, items: Iterable[Any]) -> None:
        known = [spec.name for spec in self.signature.outputs]
        seen: set[str] = set()
        for index, item in enumerate(items):
            if not self.problems.room:
                return
            path = ("outputs", index)
            name = form.read(form.OUTPUT, item, path, self.problems).get("name")
            if name is None:
                continue
            if name not in known:
                self.problems.add((*path, "name"), f"one of the outputs {_names(known)}", name)
            elif name in seen:
                self.problems.add((*path, "name"), "each output once", name)
            seen.add(name)

    def _inputs(self, items: Iterable[Any]) -> Iterator[tuple[Mapping[str, Any], Path, memoryview | None]]:
        """Every input with its place and its share of the binary data; at the end a problem if the shares are not the whole."""
        at = 0
        for index, item in enumerate(items):
            if not self.problems.room:
                return
            path = ("inputs", index)
            members = form.read(form.INPUT, item, path, self.problems)
            size = (members.get("parameters") or {}).get("binary_data_size")
            yield members, path, None if size is None else self.binary[at : at + size]
            at += size or 0
        if at != len(self.binary):
            end = f"{at} bytes of binary data after the JSON, whose length the header {form.HEADER_LENGTH} gives"
            self.problems.note((), end, f"{len(self.binary)} bytes")

    def _spec(self, name: str | None, place: Path, specs: Mapping[str, TensorSpec], seen: set[str]) -> TensorSpec | None:
        """The declaration of an input, or None if it has none to be held against."""
        if name is None:
            return None
        if name not in specs:
            self.problems.add(place, f"one of the inputs {_names(specs)}", name)
            return None
        if name in seen:
            self.problems.add(place, "each input once", name)
            return None
        seen.add(name)
        return specs[name]

    def _check_complete(self, specs: Mapping[str, TensorSpec], seen: set[str]) -> None:
        for spec in specs.values():
            if spec.name not in seen and not spec.has_default:
                expected = f"an input {cut_text(spec.name, _MAX_NAMES)}, {tensor.declared(spec)}"
                self.problems.note(("inputs",), expected, "nothing")


def _names(names: Iterable[str]) -> str:
    return cut_text(", ".join(names), _MAX_NAMES) or "(there are none)"
