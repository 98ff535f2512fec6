"""One asks, and whoever wants to know the same meanwhile waits for the answer."""

import threading
from collections.abc import Callable, Hashable
from typing import TypeVar

from gateway.deadline import Deadline
from gateway.waiting import Signal

Answer = TypeVar("Answer")


class SharedQuestions:
    """The questions that are being asked. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[Hashable, list[Signal]] = {}

    def ask(self, question: Hashable, deadline: Deadline, ask: Callable[[], Answer]) -> Answer | None:
        """``ask()`` when nobody asks ``question``; else None, once whoever asks it has an answer or an error, or time is up.

        Raises whatever ``ask`` raises, and DeadlineExceeded.
        """
        with self._lock:
            others = self._waiting.get(question)
            answered = Signal()
            if others is None:
                self._waiting[question] = []
            else:
                others.append(answered)
        if others is not None:
            answered.wait(deadline.remaining_s())
            return None
        try:
            return ask()
        finally:
            with self._lock:
                others = self._waiting.pop(question)
            for other in others:
                other.set()
