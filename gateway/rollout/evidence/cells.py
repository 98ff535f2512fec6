"""The cells of one arm and one metric: a cell is one caller (a bucket) in one window, and counts once however much it asks.

A request without a bucket is a cell of its own.
"""

from collections.abc import Iterable, Set

from gateway.rollout.evidence import eprocess


class Cells:
    """Counts exposed and bad cells: ``exposed`` and ``bad`` are of all windows, what ``at_risk`` says is of the open one.

    For one event loop. Buckets are whole numbers under 65,536, which bounds the sets.
    """

    def __init__(self) -> None:
        self.exposed = 0
        self.bad = 0
        self.clear()

    def clear(self) -> None:
        """Begin a window: the cells of the last one are over."""
        self._exposed: set[int] = set()
        self._bad: set[int] = set()
        self._weighed: set[int] = set()
        self._single = self._single_weighed = 0

    def knows(self, bucket: int | None) -> bool:
        """Whether the bucket's cell in the open window is exposed already."""
        return bucket in self._exposed

    def expose(self, bucket: int | None) -> bool:
        """Count a request's cell as exposed; whether the request is its first."""
        if bucket is None:
            self._single += 1
        elif bucket in self._exposed:
            return False
        else:
            self._exposed.add(bucket)
        self.exposed += 1
        return True

    def spoil(self, bucket: int | None, *, is_weighed: bool = True) -> None:
        """Count the cell of a request, which has been exposed, as bad; ``is_weighed``: also as a bad one that is at risk."""
        if bucket is None:
            self._single_weighed += is_weighed
            self.bad += 1
            return
        if is_weighed:
            self._weighed.add(bucket)
        self.bad += bucket not in self._bad
        self._bad.add(bucket)

    def at_risk(self, spent: Set[int]) -> tuple[int, int]:
        """How many cells of the open window were exposed, and how many bad ones are weighed; not those of ``spent`` buckets."""
        if not spent:
            return self._single + len(self._exposed), self._single_weighed + len(self._weighed)
        return self._single + len(self._exposed - spent), self._single_weighed + len(self._weighed - spent)

    @property
    def bad_buckets(self) -> Set[int]:
        """The buckets of the open window's bad cells that are weighed."""
        return self._weighed


def weighed(canary: Cells, others: Iterable[Cells], ratio: float, spent: Set[int]) -> list[float]:
    """What the open window adds to each S_j of the metric; see ``eprocess.ratio_weights``."""
    exposed, bad = canary.at_risk(spent)
    beside = [cells.at_risk(spent) for cells in others]
    n_exposed, n_bad = exposed + sum(one for one, _ in beside), bad + sum(one for _, one in beside)
    return eprocess.ratio_weights(bad, n_bad, exposed / n_exposed if n_exposed else 0.0, ratio)
