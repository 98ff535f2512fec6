"""Since when each version is in its state."""

from dataclasses import replace

import pytest

from gateway.api.console.recent.own_place import OwnPlace
from gateway.api.console.recent.shared_place import SharedPlace
from gateway.api.console.recent.states import StateReader, StateWriter
from gateway.inference.status import ModelStatus, VersionStatus
from tests.gateway.api.console.recent.test_places import NO_ROOM, files_up_to

LOADING = ModelStatus("m", (VersionStatus(2, "LOADING"), VersionStatus(1, "AVAILABLE")))
LOADED = ModelStatus("m", (VersionStatus(2, "AVAILABLE"), VersionStatus(1, "AVAILABLE")))
FAILED = ModelStatus("m", (VersionStatus(2, "END", "INTERNAL", "no memory"), VersionStatus(1, "AVAILABLE")))


class Looking:
    """A reader that looks at each question."""

    def __init__(self, place) -> None:
        self.now_s = 0.0
        self._reader = StateReader(place, self._now)

    def _now(self) -> float:
        return self.now_s

    def since(self, version: int, model: str = "m") -> float | None:
        self.now_s += 1
        return self._reader.since(model, version)


@pytest.fixture
def place(tmp_path):
    return SharedPlace(tmp_path)


def test_a_state_is_as_old_as_its_last_change(place):
    writer, reader = StateWriter(place), Looking(place)
    assert reader.since(1) is None
    for at_s, model in ((10.0, LOADING), (11.0, LOADING), (12.0, LOADED), (13.0, LOADED), (14.0, FAILED)):
        writer.note((model,), at_s)
        assert reader.since(1) == 10
    assert reader.since(2) == 14
    assert reader.since(3) is None
    assert reader.since(1, "other") is None


def test_the_next_recorder_and_every_worker_know_it(place, tmp_path):
    StateWriter(place).note((LOADED,), 10.0)
    StateWriter(SharedPlace(tmp_path)).note((LOADED,), 99.0)
    assert Looking(SharedPlace(tmp_path)).since(2) == 10


def test_what_is_not_known_for_a_while_keeps_its_time(place):
    writer = StateWriter(place)
    writer.note((LOADED,), 10.0)
    writer.note((replace(LOADED, problem="the model server is away"),), 11.0)
    writer.note((ModelStatus("m", problem="the model server is away"),), 12.0)
    writer.note((LOADED,), 13.0)
    assert Looking(place).since(2) == 10


def test_a_version_that_was_away_is_new(place):
    writer = StateWriter(place)
    writer.note((LOADED,), 10.0)
    writer.note((), 11.0)
    writer.note((LOADED,), 12.0)
    assert Looking(place).since(2) == 12


def test_without_room_it_is_written_when_there_is_some(place):
    writer = StateWriter(place)
    with files_up_to(4), pytest.raises(OSError, match=NO_ROOM):
        writer.note((LOADED,), 10.0)
    assert Looking(place).since(2) is None
    writer.note((LOADED,), 11.0)
    assert Looking(place).since(2) == 10


def test_nothing_is_written_or_read_again_unless_it_has_changed():
    place = OwnPlace()
    writer, reader = StateWriter(place), Looking(place)
    writer.note((LOADED,), 10.0)
    (name,) = place.names("")
    first = place.read(name)
    assert reader.since(2) == 10
    for _ in range(5):
        writer.note((ModelStatus("m", LOADED.versions),), 11.0)  # equal, and another object
        assert reader.since(2) == 10
    assert place.read(name) is first
