"""The URLs of TensorFlow Serving's REST port, parsed as it does (tensorflow_serving/model_servers/http_rest_api_util.cc).

The pattern is matched against the path as it was sent, percent escapes and all; names and labels are decoded afterwards, so
that ``%2F`` and ``%3A`` may stand in a name. It ignores case; the verb and the subresource are given as they were written.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from gateway.errors import InvalidArgument
from gateway.inference.signature import ModelRef

_INT64_MAX = 2**63 - 1
_ALL_MODELS = "/v1/models"
_FEEDBACK = "/v1/feedback"  # a route of the gateway's own
_REMEMBERED_LENGTH = 200  # of a path
_MODEL = r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_PATTERNS = {
    "POST": re.compile(_MODEL + r":(?P<verb>classify|regress|predict)", re.IGNORECASE | re.ASCII),
    "GET": re.compile(_MODEL + r"(?:/(?P<subresource>metadata))?", re.IGNORECASE | re.ASCII),
}


@dataclass(frozen=True, slots=True)
class ModelPath:
    """A path that names a model, or every model where ``model.name`` is empty.

    ``verb`` is what a POST asks for (``predict``); ``subresource`` what a GET asks for (``metadata``, empty: the status).
    """

    model: ModelRef
    verb: str = ""
    subresource: str = ""


def parse_path(method: str, path: str) -> ModelPath:
    """The model and the verb or subresource that ``method`` and ``path`` (percent escapes still in it, no query) ask for.

    Raises:
        InvalidArgument: nothing is served there, or the version does not fit an int64.
    """
    return _parse_path(method, path) if len(path) <= _REMEMBERED_LENGTH else _parse_path.__wrapped__(method, path)


@lru_cache(maxsize=512)
def _parse_path(method: str, path: str) -> ModelPath:
    if method == "GET" and path.lower() == _ALL_MODELS:
        return ModelPath(ModelRef(""))
    pattern = _PATTERNS.get(method)
    match = pattern.fullmatch(path) if pattern else None
    if match is None:
        raise malformed_request(method, path)
    version, label = match["version"], match["label"]
    number = None if version is None else _version(version)
    model = ModelRef(_decoded(match["name"]), number, None if label is None else _decoded(label))
    captured = match.groupdict("")
    return ModelPath(model, captured.get("verb", ""), captured.get("subresource", ""))


def malformed_request(method: str, path: str) -> InvalidArgument:
    """The error for whatever is not one of the dialect's routes, methods included: this dialect has no 405."""
    if path == _FEEDBACK:
        instead = f"{path} takes POST"
    elif _PATTERNS["POST"].fullmatch(path):
        instead = f"{path} takes POST" if method != "POST" else "the verb is written in small letters"
    elif method != "GET" and _PATTERNS["GET"].fullmatch(path):
        instead = f"{path} takes GET; a prediction is POST {path}:predict"
    else:
        instead = "the routes are GET /v1/models, GET /v1/models/NAME[/metadata] and POST /v1/models/NAME:predict"
    return InvalidArgument(f"Malformed request: {method} {path}\n{instead}")


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
