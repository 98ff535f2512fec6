"""What Linux's /proc tells about a process and all of its descendants: processor time and memory.

A program that is started as a child subreaper (see `processes`) keeps its orphans, so its tree is complete while it lives.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Stat:
    """One line of /proc/PID/stat: state, parent, and the seconds used, with those of the children that were waited for."""

    state: str
    parent: int
    cpu_s: float


@dataclass(frozen=True)
class Memory:
    """In MB (10^6 bytes). ``rss`` counts what processes share once for each, ``pss`` a fair part of it."""

    rss_mb: float
    pss_mb: float


def tree(root: int) -> dict[int, Stat]:
    """The process ``root`` and its living descendants; empty when it is gone."""
    stats = {pid: stat for pid in _pids() if (stat := _stat(pid)) is not None}
    children: dict[int, list[int]] = {}
    for pid, stat in stats.items():
        children.setdefault(stat.parent, []).append(pid)
    found, waiting = {}, [root] if root in stats else []
    while waiting:
        pid = waiting.pop()
        found[pid] = stats[pid]
        waiting += children.get(pid, [])
    return found


def is_running(pid: int) -> bool:
    """Whether the process exists and has not ended; one that has ended and was not waited for yet has."""
    stat = _stat(pid)
    return stat is not None and stat.state not in ("Z", "X")


def cpu_s(root: int) -> float:
    """Processor seconds, in user and in kernel mode, that the tree has used so far; resolution 10 ms."""
    return sum(stat.cpu_s for stat in tree(root).values())


def memory(pids: Iterator[int] | list[int]) -> Memory:
    """The memory of these processes together; those that are gone count nothing."""
    sums = {"Rss": 0, "Pss": 0}
    for pid in pids:
        for name, kilobytes in _rollup(pid):
            if name in sums:
                sums[name] += kilobytes
    return Memory(sums["Rss"] * 1024 / 1e6, sums["Pss"] * 1024 / 1e6)


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdecimal())


def _stat(pid: int) -> Stat | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    # The second field, the name in parentheses, may hold anything.
    fields = text.rpartition(")")[2].split()
    return Stat(fields[0], int(fields[1]), sum(map(int, fields[11:15])) / TICKS_A_SECOND)


def _rollup(pid: int) -> Iterator[tuple[str, int]]:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return
    for line in lines:
        name, _, rest = line.partition(":")
        yield name, int(rest.split()[0])
