"""A JSON body on its way to tensors. Accept fast, refuse well: what is common is recognised, all else is left to ``load``.

Three ways, each of which takes what the one before does not know: decoders typed by a signature, for small bodies; large lists
of numbers read in one piece; and a dialect's ``load``, the truth about what is accepted, which alone explains. Whatever one of
the first two accepts, the last accepts as the same tensors. What is no JSON is refused before a model is looked for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Generic, TypeVar

from gateway.codec import json_text, large_json
from gateway.inference import dtypes
from gateway.inference.signature import DEFAULT_SIGNATURE, ModelRef, Signature

Loaded = TypeVar("Loaded")

_MAX_KNOWN: Final = 256  # models whose signatures are remembered
# The typed decoders are the fastest for small bodies, and for larger ones with less than so much between quotation marks.
_MAX_TYPED_BYTES: Final = 65_536
_DENSE_BYTES: Final = 2048


@dataclass(frozen=True, slots=True)
class Naming:
    """``is_right`` says whether a document asks for a signature as it should, or for none; then ``name`` gives its name.

    For any other document ``name`` raises InvalidArgument.
    """

    is_right: Callable[[Any], bool]
    name: Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class Form(Generic[Loaded]):
    """What the bodies of a dialect are: what decodes them for a signature, accepts a document, and accepts or explains it.

    ``raw_strings`` and ``strict`` as for ``json_text.parse``. ``naming``: how a body asks for a signature;
    None where that is always the default one.
    """

    typed: Callable[[Signature], Callable[[bytes], Loaded | None]]
    accept: Callable[[Any, Signature], Loaded | None]
    load: Callable[[Any, Signature], Loaded]
    raw_strings: bool = False
    strict: bool = False
    naming: Naming | None = None


class Known(Generic[Loaded]):
    """The default signatures that models were last called with, and the decoders made from them. Thread-safe.

    A body can be decoded for one before the catalog is asked; should the catalog then say otherwise, it is read again.
    """

    def __init__(self, form: Form[Loaded]) -> None:
        self.form = form
        self._decoders: dict[ModelRef, tuple[Signature, Callable[[bytes], Loaded | None]]] = {}

    def decode(self, model: ModelRef, data: bytes) -> tuple[Signature, Loaded] | None:
        """The signature known for ``model`` and what ``data`` is in its terms, if it is recognised."""
        signature, decoder = self._decoders.get(model, (None, None))
        if signature is None or decoder is None or not (_is_small(data) or _is_text(signature)):
            return None
        loaded = decoder(data)
        return None if loaded is None else (signature, loaded)

    def note(self, model: ModelRef, signature: Signature) -> None:
        """Know ``signature`` from now on."""
        known, _ = self._decoders.get(model, (None, None))
        if known is signature or signature.name != DEFAULT_SIGNATURE:
            return
        if len(self._decoders) >= _MAX_KNOWN:
            self._decoders.clear()
        self._decoders[model] = (signature, self.form.typed(signature))


class JsonBody(Generic[Loaded]):
    """One body: its bytes are ``data``, and ``signature`` is the name of the one that it asks for. Not thread-safe."""

    def __init__(self, known: Known[Loaded], model: ModelRef, data: bytes) -> None:
        """Raises InvalidArgument for what is no JSON and, where bodies name a signature, for what names none as it should."""
        self._known, self._form, self._model, self.data = known, known.form, model, data
        self.signature = DEFAULT_SIGNATURE
        self._hollow: Any = None
        self._decoded = known.decode(model, data)
        if self._decoded is None:
            self._hollow = large_json.parse(data, raw_strings=self._form.raw_strings, strict=self._form.strict)
            if self._form.naming is not None:
                self._name_signature(self._form.naming)
            elif self._hollow is None:
                self.document  # noqa: B018 - what is no JSON is refused now

    def load(self, signature: Signature) -> Loaded:
        """The tensors for ``signature``. Raises what the form's ``load`` raises for a body that does not fit it."""
        known, loaded = self._decoded or (None, None)
        if known is signature and loaded is not None:
            return loaded
        if loaded is None or known != signature:
            loaded = self._loaded(signature)
            # Of no more use, and many times as large as its text: should it be asked for again, it is read again.
            self._hollow = None
            self.__dict__.pop("_document", None)
        self._known.note(self._model, signature)
        return loaded

    @property
    def document(self) -> Any:
        """All of it, as Python has it: for a body that was refused."""
        return self._document

    def _name_signature(self, naming: Naming) -> None:
        if self._hollow is not None and not naming.is_right(self._hollow):
            self._hollow = None  # the whole of it tells why
        self.signature = naming.name(self._document if self._hollow is None else self._hollow)

    def _loaded(self, signature: Signature) -> Loaded:
        if self._hollow is not None or len(self.data) < large_json.LEAST_BYTES:
            accepted = self._form.accept(self._document if self._hollow is None else self._hollow, signature)
            if accepted is not None:
                return accepted
            self._hollow = None  # before there is the whole of it beside
        return self._form.load(self._document, signature)

    @cached_property
    def _document(self) -> Any:
        """The whole of it, as Python has it."""
        form = self._form
        return json_text.parse(self.data, raw_strings=form.raw_strings, strict=form.strict)


def _is_small(data: bytes) -> bool:
    """Whether a typed decoder is faster than a search for large lists of numbers."""
    if len(data) < large_json.LEAST_BYTES:
        return True
    return len(data) <= _MAX_TYPED_BYTES and data.count(b'"') * _DENSE_BYTES > len(data)


def _is_text(signature: Signature) -> bool:
    """Whether no input is numbers, so that the typed decoder is the fastest whatever the size."""
    return all(spec.dtype == dtypes.STRING for spec in signature.inputs)
