"""One thing that goes wrong: how it begins and ends, and what clients may get because of it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from tests.faults.scene import Scene
from tests.stack.checking_client import IsRight, half_plus_two


@dataclass(frozen=True)
class Fault:
    """``around(scene)`` begins the fault when it is entered and has mended it when it is left.

    - ``number``: in the list of faults, with a letter where one number has several (`4b`).
    - ``scene``: starts the processes in which it happens; a scene is kept for the next fault that needs the same.
    - ``gets``: the statuses beside 200 that clients may get; ``must`` are those of which each is waited for.
    - ``closes``: whether connections may end without an answer, or be refused.
    - ``is_right``: says of every answer whether it is; all others fail the test.
    - ``remark``: what the table says of it.
    """

    number: str
    what: str
    scene: Callable[..., AbstractContextManager[Scene]]
    around: Callable[[Any], AbstractContextManager[None]]
    gets: frozenset[int]
    must: frozenset[int]
    closes: bool
    is_right: IsRight
    is_for_root: bool
    remark: str

    def __str__(self) -> str:
        return f"{self.number} {self.what}"


FAULTS: list[Fault] = []


def fault(
    number: str,
    what: str,
    scene: Callable[..., AbstractContextManager[Scene]],
    *,
    gets: tuple[int, ...] = (),
    must: tuple[int, ...] = (),
    closes: bool = False,
    is_right: IsRight = half_plus_two,
    is_for_root: bool = False,
    remark: str = "",
) -> Callable[[Callable[[Any], Iterator[None]]], Fault]:
    """Make a Fault of a function that begins it, yields, and mends it."""

    def make(around: Callable[[Any], Iterator[None]]) -> Fault:
        statuses = frozenset(gets) | frozenset(must)
        made = Fault(
            number, what, scene, contextmanager(around), statuses, frozenset(must), closes, is_right, is_for_root, remark
        )
        FAULTS.append(made)
        return made

    return make
