"""The bounds of batching, as the settings have them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """``max_rows`` of a batch, ``max_queued_rows`` waiting over all keys, ``max_in_flight`` batches of one key.

    ``max_alone``: lone calls of one key at a time while it is not proven. ``sample_every``: one shared batch in so many is
    compared again with the lone calls of its requests; 0: none is. ``never``: patterns, as of a shell, of the models that are
    never joined.
    """

    max_rows: int
    max_in_flight: int
    max_queued_rows: int
    max_alone: int = 32
    sample_every: int = 0
    never: tuple[str, ...] = ()
