"""Reads the numbers of all workers from the folder that they share."""

import os
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from gateway.telemetry.reading.number_file import NumberFileReader
from gateway.telemetry.reading.numbers import Key, Names, Reading, Values

_SUFFIX: Final = ".db"
_SUMS: Final = ("counter", "histogram", "gauge_livesum")
_LEAST: Final = "gauge_livemin"
_NEWEST: Final = "gauge_livemostrecent"
_KINDS: Final = (*_SUMS, _LEAST, _NEWEST)


class SharedReader:
    """The numbers of ``names`` in ``folder``: what workers have counted, also those that have ended, and gauges of the living.

    What is not there any more, such as a gauge of a worker that has ended, leaves the reading. For one thread.
    """

    def __init__(self, folder: Path, names: Names) -> None:
        self._folder = folder
        self._names = names
        self._keys: list[Key] = []
        self._places: dict[Key, int] = {}
        self._chosen: list[int] = []  # the columns whose number is that of one worker
        self._files: dict[str, dict[tuple[str, int], NumberFileReader]] = {kind: {} for kind in _KINDS}

    def read(self) -> Reading:
        """The numbers now. The first time, and when there are many new ones, it rests between them, and takes seconds."""
        self._look_for_files()
        read = {kind: [(file, file.read()) for file in files.values()] for kind, files in self._files.items()}
        values = np.zeros(len(self._keys))
        values[self._chosen] = np.nan
        for kind in _SUMS:
            for file, numbers in read[kind]:
                values[file.columns] += numbers
        _take(values, read[_LEAST], np.fmin)
        _take_newest(values, read[_NEWEST])
        return Reading(self._keys, values)

    def _place(self, kind: str, key: Key) -> int:
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = len(self._keys)
            self._keys.append(key)
            if kind not in _SUMS:
                self._chosen.append(place)
        return place

    def _look_for_files(self) -> None:
        there: dict[str, set[tuple[str, int]]] = {kind: set() for kind in _KINDS}
        for entry in os.scandir(self._folder):
            kind = entry.name.removesuffix(_SUFFIX).rpartition("_")[0]
            if kind in there and entry.name.endswith(_SUFFIX):
                # A new file may have the name of one that was deleted.
                there[kind].add((entry.path, entry.inode()))
        for kind, found in there.items():
            files = self._files[kind]
            for gone in files.keys() - found:
                del files[gone]
            for path, inode in found - files.keys():
                try:
                    files[path, inode] = NumberFileReader(Path(path), self._names, partial(self._place, kind))
                except FileNotFoundError:  # its worker has ended meanwhile
                    continue


def _take(values: Values, read: list[tuple[NumberFileReader, Values]], choose: np.ufunc) -> None:
    """Put what ``choose`` makes of the numbers of all files into ``values``, which are NaN before."""
    for file, numbers in read:
        values[file.columns] = choose(values[file.columns], numbers)


def _take_newest(values: Values, read: list[tuple[NumberFileReader, Values]]) -> None:
    newest_s = np.full(len(values), -1.0)
    for file, numbers in read:
        times = file.times()[: len(numbers)]
        is_newer = times > newest_s[file.columns]
        columns = file.columns[is_newer]
        values[columns] = numbers[is_newer]
        newest_s[columns] = times[is_newer]
