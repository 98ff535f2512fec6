"""A budget: so much of something that requests may hold together, and a queue for those that have to wait for their share."""

import threading
from collections import deque


class Budget:
    """Shares of ``total``, first come first served: a large share is not passed by small ones. Thread-safe.

    Who waits must hold no share of the same budget: then all that is held comes back, and everyone's turn comes.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = total
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()

    def take(self, amount: int, timeout_s: float) -> bool:
        """Wait, at most ``timeout_s``, until ``amount`` is free and who came before is served; whether it is held now.

        Raises ValueError for more than there will ever be.
        """
        if amount > self.total:
            raise ValueError(f"{amount} of {self.total}")
        turn = object()
        with self._changed:
            self._queue.append(turn)
            try:
                is_ours = self._changed.wait_for(lambda: self._queue[0] is turn and amount <= self._free, timeout_s)
                if is_ours:
                    self._free -= amount
            finally:
                # Also of one that gives up, which may have been all that the next one waited for.
                self._queue.remove(turn)
                self._changed.notify_all()
        return is_ours

    def give_back(self, amount: int) -> None:
        """Let others have ``amount`` of what ``take`` gave."""
        with self._changed:
            self._free += amount
            self._changed.notify_all()
