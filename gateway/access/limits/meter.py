"""What counts one limit of one caller, whatever the kind of limit.

The state of a meter lies in cells of 64 bits that all workers share. The first three in its row are two counters, and the time
when nothing of the row counts any more. Times are nanoseconds of a monotonic clock, which is the
same for all processes of a machine. The caller of a meter holds the lock.
"""

from typing import Any, Protocol


class Cells(Protocol):
    """Numbers of 64 bits, such as a memory that several processes share."""

    def __getitem__(self, index: int, /) -> int: ...

    def __setitem__(self, index: int, value: int, /) -> None: ...


class Meter(Protocol):
    """Counts what is taken from one limit.

    ``others`` is how much of it other gateways hold. ``gateways`` is how many gateways share it without knowing of each other:
    each then takes an equal share.
    """

    def room(self, now_ns: int, others: int = 0, gateways: int = 1) -> int:
        """How much may be taken at ``now_ns``; it may be negative."""

    def wait_ns(self, now_ns: int, cost: int = 1, others: int = 0, gateways: int = 1) -> int:
        """How long from ``now_ns`` until ``cost`` may be taken, as far as is known; 0 if it may now."""

    def try_take(self, now_ns: int, cost: int = 1) -> bool:
        """Whether there is room at ``now_ns`` for ``cost``, which is counted then; 0 only asks for room."""

    def take(self, now_ns: int, cost: int = 1, gateways: int = 1) -> None:
        """Count ``cost`` at ``now_ns``, without a check. Less than 0 takes back."""

    def take_leased(self, now_ns: int, cost: int = 1) -> None:
        """Count ``cost`` at ``now_ns``, which a lease covers. Less than 0 takes back."""

    def seen(self) -> tuple[int, ...]:
        """The room when it was looked at last, and in how many seconds there was more then, if that can be known."""

    def report(self, now_ns: int) -> dict[str, Any]:
        """What other gateways have to know of it: ``ages``, ``busy`` or ``reset``; times in microseconds."""

    def learn(self, now_ns: int, reset_ns: int) -> None:
        """Take over what Redis knows: it is ``reset_ns`` until all is there again, if it counts by that."""
