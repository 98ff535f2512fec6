"""Makes tensors of a JSON body: common bodies are recognised fast, all others go to the dialect's ``load``.

Three ways are tried in turn: decoders typed by a signature, for small bodies; large lists of numbers read in one piece; and
the dialect's ``load``, which decides what is accepted, and alone explains a refusal. Whatever the first two accept, ``load``
accepts as the same tensors. A body that is no JSON is refused before the model is looked up.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import Any, Final, Generic, TypeVar

from gateway.codec import large_json
from gateway.codec.json_text import parse_json
from gateway.codec.large_json import parse_large_json
from gateway.inference import dtypes
from gateway.inference.signature import DEFAULT_SIGNATURE, ModelRef, Signature

Loaded = TypeVar("Loaded")

MOST_KNOWN: Final = 4096
"""Of so many models the decoders are kept, each of up to 16 KiB, so that a gateway of a thousand makes each of them once."""

# The typed decoders are the fastest for small bodies, and for larger ones with less than so much between quotation marks.
_MAX_TYPED_BYTES: Final = 65_536
_DENSE_BYTES: Final = 2048


@dataclass(frozen=True, slots=True)
class Naming:
    """``is_right``: whether a document asks for a signature in the right form, or for none. Then ``name`` gives the name.

    For any other document ``name`` raises InvalidArgument.
    """

    is_right: Callable[[Any], bool]
    name: Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class Form(Generic[Loaded]):
    """How a dialect reads its bodies.

    ``typed`` makes a decoder for a signature. ``accept`` gives the tensors of a document, or None; ``load`` gives them, or
    raises with every reason. ``raw_strings`` and ``strict`` are those of ``parse_json``. ``naming``: how a body asks for
    a signature; None if every body is for the default one.
    """

    typed: Callable[[Signature], Callable[[bytes], Loaded | None]]
    accept: Callable[[Any, Signature], Loaded | None]
    load: Callable[[Any, Signature], Loaded]
    raw_strings: bool = False
    strict: bool = False
    naming: Naming | None = None


class Known(Generic[Loaded]):
    """The default signatures that models were last called with, and the decoders made from them. Thread-safe.

    A body can be decoded before the catalog is asked. If the catalog then gives another signature, the body is read again.
    """

    def __init__(self, form: Form[Loaded]) -> None:
        self.form = form
        self._lock = Lock()
        self._decoders: dict[ModelRef, tuple[Signature, Callable[[bytes], Loaded | None]]] = {}

    def decode(self, model: ModelRef, data: bytes) -> tuple[Signature, Loaded] | None:
        """The signature known for ``model``, and what it makes of ``data``; None if ``data`` is not recognised."""
        signature, decoder = self._decoders.get(model, (None, None))
        if signature is None or decoder is None or not (_is_small(data) or _is_text(signature)):
            return None
        loaded = decoder(data)
        return None if loaded is None else (signature, loaded)

    def note(self, model: ModelRef, signature: Signature) -> None:
        """Remember ``signature`` as the one that ``model`` was called with."""
        known, _ = self._decoders.get(model, (None, None))
        if known is signature or signature.name != DEFAULT_SIGNATURE:
            return
        decoder = self.form.typed(signature)
        with self._lock:
            self._decoders.pop(model, None)
            if len(self._decoders) >= MOST_KNOWN:
                del self._decoders[next(iter(self._decoders))]  # the one that was noted before all others
            self._decoders[model] = (signature, decoder)


class JsonBody(Generic[Loaded]):
    """One body: ``data`` are its bytes, ``signature`` is the name of the signature that it asks for. Not thread-safe."""

    def __init__(self, known: Known[Loaded], model: ModelRef, data: bytes) -> None:
        """Raises InvalidArgument for a body that is no JSON, or that names its signature in a wrong form."""
        self._known, self._form, self._model, self.data = known, known.form, model, data
        self.signature = DEFAULT_SIGNATURE
        self._hollow: Any = None
        self._decoded = known.decode(model, data)
        if self._decoded is None:
            self._hollow = parse_large_json(data, raw_strings=self._form.raw_strings, strict=self._form.strict)
            if self._form.naming is not None:
                self._name_signature(self._form.naming)
            elif self._hollow is None:
                self.document  # noqa: B018 - a body that is no JSON is refused now

    def load(self, signature: Signature) -> Loaded:
        """The tensors for ``signature``. Raises what the form's ``load`` raises for a body that does not fit it."""
        known, loaded = self._decoded or (None, None)
        if known is signature and loaded is not None:
            return loaded
        if loaded is None or known != signature:
            loaded = self._loaded(signature)
            # No longer needed, and many times as large as its text. If it is asked for again, it is read again.
            self._hollow = None
            self.__dict__.pop("document", None)
        self._known.note(self._model, signature)
        return loaded

    @cached_property
    def document(self) -> Any:
        """The whole document as Python objects."""
        form = self._form
        return parse_json(self.data, raw_strings=form.raw_strings, strict=form.strict)

    def _name_signature(self, naming: Naming) -> None:
        if self._hollow is not None and not naming.is_right(self._hollow):
            self._hollow = None  # the whole document says why
        self.signature = naming.name(self.document if self._hollow is None else self._hollow)

    def _loaded(self, signature: Signature) -> Loaded:
        if self._hollow is not None or len(self.data) < large_json.LEAST_BYTES:
            accepted = self._form.accept(self.document if self._hollow is None else self._hollow, signature)
            if accepted is not None:
                return accepted
            self._hollow = None  # freed before the whole document is read
        return self._form.load(self.document, signature)


def _is_small(data: bytes) -> bool:
    """Whether a typed decoder is faster than a search for large lists of numbers."""
    if len(data) < large_json.LEAST_BYTES:
        return True
    return len(data) <= _MAX_TYPED_BYTES and data.count(b'"') * _DENSE_BYTES > len(data)


def _is_text(signature: Signature) -> bool:
    """Whether no input is numbers, so that the typed decoder is the fastest whatever the size."""
    return all(spec.dtype == dtypes.STRING for spec in signature.inputs)
