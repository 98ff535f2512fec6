"""The one deadline of a request: set when the request is complete, counted down through every step."""

import time
from typing import NamedTuple

from gateway.errors import DeadlineExceeded


class Deadline(NamedTuple):
    """A point in time, in seconds of ``time.monotonic``, and the budget that led to it, for messages."""

    at_s: float
    budget_s: float

    @classmethod
    def after(cls, budget_s: float) -> "Deadline":
        """The deadline that lies ``budget_s`` seconds ahead."""
        return cls(time.monotonic() + budget_s, budget_s)

    def at_most(self, budget_s: float) -> "Deadline":
        """This deadline, or the one that lies ``budget_s`` seconds ahead, whichever comes first."""
        return min(self, Deadline.after(budget_s), key=lambda deadline: deadline.at_s)

    def remaining_s(self) -> float:
        """Seconds left.

        Raises:
            DeadlineExceeded: none are left.
        """
        left_s = self.at_s - time.monotonic()
        if left_s <= 0:
            raise self.exceeded()
        return left_s

    def exceeded(self) -> DeadlineExceeded:
        """The error that says that the time is used up, beginning with TensorFlow Serving's own words for it."""
        budget_ms = round(self.budget_s * 1000)
        error = DeadlineExceeded(f"Timed out waiting for notification: no answer within {budget_ms} ms")
        return error.decided_by("GATEWAY_PREDICT_TIMEOUT_MS", budget_ms)
