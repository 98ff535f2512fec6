"""The value of ``GATEWAY_CACHE``: the models whose answers are kept, how many of each, and for how long."""

import re
from dataclasses import dataclass

from marshmallow import ValidationError

EXPECTED = "name:entries:seconds for each model, such as digits:1000:60s,dense:500:2.5s"
MOST_ENTRIES = 10_000_000
MOST_SECONDS = 86_400 * 7

# A model's name stands between slash and colon in a path, so it has neither.
_MODEL = re.compile(r"(?P<name>[^\s:/,]+):(?P<entries>\d{1,9}):(?P<seconds>\d{1,9}(?:\.\d{1,9})?)s")


@dataclass(frozen=True, slots=True)
class CachedModel:
    """Keep at most ``entries`` answers of the model ``name``, each for ``seconds``."""

    name: str
    entries: int
    seconds: float


def cached_models(text: str) -> tuple[CachedModel, ...]:
    """The models in the order in which they stand in ``text``. Raises ValidationError: what is wrong with which of them."""
    models = tuple(_model(part.strip()) for part in text.split(","))
    names = [model.name for model in models]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValidationError(f"named twice: {', '.join(sorted(twice))}")
    return models


def _model(text: str) -> CachedModel:
    parts = _MODEL.fullmatch(text)
    if parts is None:
        raise ValidationError(f"{text!r} is not understood")
    model = CachedModel(parts["name"], int(parts["entries"]), float(parts["seconds"]))
    if not 1 <= model.entries <= MOST_ENTRIES:
        raise ValidationError(f"{text!r}: from 1 to {MOST_ENTRIES} entries")
    if not 0 < model.seconds <= MOST_SECONDS:
        raise ValidationError(f"{text!r}: more than 0 and at most {MOST_SECONDS} seconds")
    return model
