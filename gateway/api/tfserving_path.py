"""The URLs of TensorFlow Serving's REST port, parsed as it does (tensorflow_serving/model_servers/http_rest_api_util.cc).

The pattern is matched against the path as it was sent, percent escapes and all; names and labels are decoded afterwards, so
that ``%2F`` and ``%3A`` may stand in a name. It ignores case, the verb and ``metadata`` do not.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from gateway.errors import InvalidArgument
from gateway.inference.signature import ModelRef

VERBS = ("predict", "classify", "regress")
_INT64_MAX = 2**63 - 1
_PATTERN = re.compile(
    r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
    r"(?P<rest>:(?:classify|regress|predict)|/metadata)?",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class ModelPath:
    """A path that names a model. ``action`` is one of VERBS, ``metadata``, or ``status``."""

    model: ModelRef
    action: str


def parse(method: str, path: str) -> ModelPath:
    """The model and the action that ``method`` and ``path`` (percent escapes still in it, no query) ask for.

    Raises:
        InvalidArgument: nothing is served there, or the version does not fit an int64.
    """
    match = _PATTERN.fullmatch(path)
    if match is None:
        raise malformed(method, path)
    verb, subresource = _rest(match["rest"] or "")
    if (verb and (method != "POST" or verb not in VERBS)) or (not verb and method != "GET"):
        raise malformed(method, path)
    return ModelPath(_model(match), verb or subresource)


def malformed(method: str, path: str) -> InvalidArgument:
    """The error for whatever is not one of the dialect's routes, methods included: this dialect has no 405."""
    return InvalidArgument(f"Malformed request: {method} {path}")


def _rest(rest: str) -> tuple[str, str]:
    if rest.startswith(":"):
        return rest[1:], ""
    # Upstream matches /METADATA too and then takes it for no subresource.
    return "", "metadata" if rest == "/metadata" else "status"


def _model(match: re.Match[str]) -> ModelRef:
    version, label = match["version"], match["label"]
    return ModelRef(
        _decoded(match["name"]),
        version=None if version is None else _version(version),
        label=None if label is None else _decoded(label),
    )


def _version(digits: str) -> int:
    significant = digits.lstrip("0") or "0"
    if len(significant) > 19 or int(significant) > _INT64_MAX:
        raise InvalidArgument(f"Failed to convert version: {digits[:64]} to numeric.")
    return int(significant)


def _decoded(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"Malformed request: {text[:64]} is not UTF-8 in percent escapes") from error
