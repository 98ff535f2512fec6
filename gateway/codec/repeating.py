"""A JSON object that has a name more than once, which a dict alone cannot show."""

from collections import Counter
from typing import Any


class Repeating(dict[str, Any]):
    """The members of such an object, the first of each name; ``repeated`` are the names that it has more than once.

    Code that compares the type itself with ``dict``, as the elements of tensors do, refuses it.
    """

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.update(reversed(pairs))
        self.repeated = tuple(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
