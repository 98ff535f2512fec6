"""The field X-Amzn-SageMaker-Custom-Attributes, in the form that SageMaker's own TensorFlow container reads.

``tfs-model-name=NAME,tfs-model-version=NUMBER,tfs-method=predict``; each may be left out. Attributes whose names do not begin
with ``tfs-`` are the caller's own, and are ignored.
"""

import re
from dataclasses import dataclass
from typing import Final

from gateway.codec.problems import cut_text
from gateway.errors import InvalidArgument

FIELD: Final = "X-Amzn-SageMaker-Custom-Attributes"
METHODS: Final = ("predict", "classify", "regress")

_NAME, _VERSION, _METHOD = "tfs-model-name", "tfs-model-version", "tfs-method"
_EXPECTED: Final = {_NAME: "a model's name", _VERSION: "a number", _METHOD: f"{', '.join(METHODS[:-1])} or {METHODS[-1]}"}
_VALUES: Final = {_NAME: re.compile(r"[^\s/:]+"), _VERSION: re.compile(r"[0-9]{1,19}"), _METHOD: re.compile("|".join(METHODS))}
_SHOWN: Final = 60  # characters of a bad value in a message


@dataclass(frozen=True, slots=True)
class Attributes:
    """What the field says. ``model`` and ``version`` are empty where it does not say it."""

    model: str = ""
    version: str = ""
    method: str = "predict"


def read_attributes(text: str) -> Attributes:
    """The attributes of ``text``, the field's value; empty: none. Raises InvalidArgument, which names the bad attribute."""
    given = {}
    for part in text.split(","):
        name, _, value = (piece.strip() for piece in part.partition("="))
        if not name.startswith("tfs-"):
            continue
        if name not in _EXPECTED:
            raise InvalidArgument(f"{FIELD}: expected {', '.join(_EXPECTED)}, got {cut_text(name, _SHOWN)}")
        if name in given or not _VALUES[name].fullmatch(value):
            got = "a second one" if name in given else cut_text(value, _SHOWN) or "nothing"
            raise InvalidArgument(f"{FIELD}: {name}: expected {_EXPECTED[name]}, got {got}")
        given[name] = value
    return Attributes(given.get(_NAME, ""), given.get(_VERSION, ""), given.get(_METHOD, "predict"))
