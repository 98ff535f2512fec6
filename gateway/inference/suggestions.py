"""What an error says besides upstream's words: what there is instead. Each hint is bounded, and made from what is in memory."""

import copy
import difflib
import heapq
import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Final

from gateway.errors import GatewayError, InvalidArgument, NotFound, Unimplemented, UnknownModel
from gateway.inference.dtypes import STRING
from gateway.inference.signature import ModelRef, ServedModel, Signature, TensorSpec
from gateway.inference.status import ModelStatus

_MOST_NAMES: Final = 10
_NAME_LENGTH: Final = 100
_HINT_LENGTH: Final = 1000
_MOST_COMPARED: Final = 50

# model_server's (and upstream's classifier.cc, regressor.cc) refusals of a signature, some of which end in a dump of the proto.
_WRONG_SIGNATURE: Final = re.compile(
    r"\A(Expected one (or two )?(in|out)put Tensors?|No (classification|regression) |Expected (classification|regression) sig)"
)
_PROTO_DUMP: Final = re.compile(r"(SignatureDef:|Signature was:).*", re.DOTALL)
_PARTS: Final = {
    "ragged": "its values and row_splits",
    "sparse": "its indices, values and dense_shape",
    "composite": "its parts",
}
_INTEGER_FOR_FLOAT: Final = "Data type: int64 but expected type: float"

# How the server begins when it does not serve what a request is for: get_model_status_impl.cc and server_core.h.
_NO_VERSIONS: Final = "Could not find any versions of model"
_NO_VERSION: Final = "Could not find version"
_NOT_SERVED: Final = "Servable not found"


def not_found(error: GatewayError, model: ModelRef, known: Sequence[ModelStatus], labels: Sequence[str] = ()) -> GatewayError:
    """``error``, a backend's refusal to find ``model``, with what there is instead. Any other error is given back as it is.

    ``known`` holds every model, and ``labels`` those that the server's config file has for this one. Other models are left to
    ``with_served``, because several callers may share the error, and not all may know of them.
    """
    if not (isinstance(error, NotFound) or (isinstance(error, InvalidArgument) and model.label is not None)):
        return error
    status = next((status for status in known if status.name == model.name), None)
    if status is not None:
        return with_hint(error, _instead(model, status, labels))
    error.unknown_model = _unknown(model, known)
    return error


def with_served(error: GatewayError, unknown: UnknownModel, may_see: Callable[[str], bool]) -> GatewayError:
    """``error``, which is about ``unknown``, with the models that are served and that its caller may know of."""
    served = [name for name in unknown.served if may_see(name)]
    close = _close(short_name(unknown.name), tuple(served))
    if close:
        return with_hint(error, f"Did you mean {' or '.join(map(short_name, close))}?")
    if unknown.served and not served:
        return with_hint(error, "GET /v1/models with a key lists the models that are for it")
    return with_hint(error, f"Served are: {listed_names(served)}")


def unserved(model: ModelRef, known: Sequence[ModelStatus], *, is_status: bool = False) -> GatewayError:
    """What ``not_found`` makes of the server's refusal of a ``model`` that it does not serve, without asking it.

    ``is_status``: of its status (``get_model_status_impl.cc``), otherwise of its metadata (``server_core.h``).
    """
    error: GatewayError
    if model.label is not None:
        error = InvalidArgument(f"Unrecognized servable version label: {model.label}")
    elif is_status:
        which = _NO_VERSIONS if model.version is None else f"{_NO_VERSION} {model.version} of model"
        error = NotFound(f"{which} {model.name}")
    else:
        wanted = f"Latest({model.name})" if model.version is None else f"Specific({model.name}, {model.version})"
        error = NotFound(f"{_NOT_SERVED} for request: {wanted}")
    error.unknown_model = _unknown(model, known)
    return error


def is_unserved(error: GatewayError) -> bool:
    """Whether the server says that it does not serve what the request is for. Any other NOT_FOUND is an error of the model."""
    return isinstance(error, NotFound) and error.message.startswith((_NOT_SERVED, _NO_VERSIONS, _NO_VERSION))


def no_signature(name: str, served: ServedModel) -> str:
    """The signatures of a version that has none called ``name``."""
    names = sorted(known for known in served.signatures if not known.startswith("__"))
    close = difflib.get_close_matches(short_name(name), names, n=3)
    nearest_first = [*close, *(known for known in names if known not in close)]
    return f"Version {served.version} of {short_name(served.name)} has: {listed_names(nearest_first)}"


def wrong_examples(error: InvalidArgument, method: str, signature: str, served: ServedModel) -> GatewayError:
    """A backend's refusal of a :classify or :regress call (``method``), with what the version has instead.

    Words replace protocol buffers' debug text in it.
    """
    definition = served.signatures.get(signature)
    if definition is None:
        return with_hint(error, no_signature(signature, served))
    if _INTEGER_FOR_FLOAT in error.message:
        return with_hint(error, "A number without a decimal point is an integer: for a float write 2.0, not 2")
    if not _WRONG_SIGNATURE.match(error.message):
        return error
    suited = [name for name, other in served.signatures.items() if takes_examples(other, method)]
    text = _PROTO_DUMP.sub(r"\1", error.message)
    instead = f"For :{method} there {'are' if suited else 'is no other'}{': ' + listed_names(suited) if suited else ''}"
    takes = f"{short_name(definition.name)} takes {listed_tensors(definition.inputs)}"
    gives = f"gives {listed_tensors(definition.outputs)}"
    return InvalidArgument(f"{text} {takes} and {gives}. {instead}", error.problems, error.omitted)


def why_not_callable(signature: Signature, specs: Iterable[TensorSpec] | None = None) -> str:
    """Why no call can have ``specs``, some of the tensors of ``signature`` (None: all), and what to do; empty: it can."""
    for spec in (*signature.inputs, *signature.outputs) if specs is None else specs:
        if spec.composite:
            return _composite(signature, spec)
    return ""


def refuse_composite(signature: Signature, specs: Iterable[TensorSpec] | None = None) -> None:
    """Raise Unimplemented if ``specs``, some of the tensors of ``signature`` (None: all), are not all plain ones."""
    reason = "" if signature.is_plain else why_not_callable(signature, specs)
    if reason:
        raise Unimplemented(reason)


def with_hint(error: GatewayError, hint: str) -> GatewayError:
    """``error`` with ``hint`` as another sentence of its message."""
    return _reworded(error, f"{error.message.rstrip('.')}. {hint if len(hint) <= _HINT_LENGTH else hint[:_HINT_LENGTH] + '…'}")


def with_lines(error: GatewayError, lines: Iterable[str]) -> GatewayError:
    """``error`` with ``lines``, which are bounded already, after its message."""
    return _reworded(error, "\n".join([error.message, *lines]))


def listed_names(names: Iterable[object]) -> str:
    """The first names, and how many more there are."""
    every = [short_name(str(name)) for name in names]
    more = f" and {len(every) - _MOST_NAMES} more" if len(every) > _MOST_NAMES else ""
    return (", ".join(every[:_MOST_NAMES]) or "none") + more


def short_name(name: str) -> str:
    """A client's name, shortened if it is very long."""
    return name if len(name) <= _NAME_LENGTH else name[:_NAME_LENGTH] + "…"


@lru_cache(maxsize=256)
def _close(name: str, served: tuple[str, ...]) -> list[str]:
    """The names that are most like ``name``, for a client that may well ask again.

    difflib takes 50 ms for a thousand names that are alike, so it gets those that begin and end most like ``name``.
    """
    alike = heapq.nlargest(_MOST_COMPARED, served, key=lambda known: _common(name, known) + _common(name[::-1], known[::-1]))
    return difflib.get_close_matches(name, alike, n=3)


def _common(one: str, other: str) -> int:
    """With how many letters both begin."""
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _unknown(model: ModelRef, known: Sequence[ModelStatus]) -> UnknownModel:
    return UnknownModel(model.name, tuple(status.name for status in known if status.is_ready))


def _reworded(error: GatewayError, message: str) -> GatewayError:
    reworded = copy.copy(error)
    reworded.message, reworded.args = message, (message,)
    return reworded


def _composite(signature: Signature, spec: TensorSpec) -> str:
    is_input = spec in signature.inputs
    side, verb = ("input", "take") if is_input else ("output", "return")
    what = f"the {side} {short_name(spec.name)} of {short_name(signature.name)} is a {spec}"
    reason = "which cannot be sent to a server" if is_input else "which a server cannot give"
    return f"{what}, {reason}: {verb} {_PARTS[spec.composite]} as {side}s of their own, and export the model again"


def _instead(model: ModelRef, status: ModelStatus, labels: Sequence[str]) -> str:
    name = short_name(model.name)
    if not status.available:
        return f"{name}: {'; '.join(status.problems)}"
    versions = f"{name} has the versions: {listed_names(status.available)}"
    return f"{versions}; labels in the server's config: {listed_names(labels)}" if model.label and labels else versions


def listed_tensors(specs: Sequence[TensorSpec]) -> str:
    """The names of tensors, each with its dtype and shape."""
    return listed_names(f"{spec.name} ({spec})" for spec in specs)


def takes_examples(signature: Signature, method: str) -> bool:
    """Whether ``signature`` has the tensors that ``method``, classify or regress, needs, whatever method it names."""
    outputs = {spec.name for spec in signature.outputs}
    wanted = outputs & {"classes", "scores"} if method == "classify" else outputs == {"outputs"}
    return bool(wanted) and [(spec.name, spec.dtype) for spec in signature.inputs] == [("inputs", STRING)]
