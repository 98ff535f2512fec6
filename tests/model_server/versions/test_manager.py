"""The manager with a loader of the tests' own: order of states, retries, failures, and requests during an unload."""

import threading
from collections.abc import Callable, Iterator

import pytest
from grpc import StatusCode

from model_server.status import ServingError
from model_server.versions.harness import LoadSettings
from model_server.versions.history import History, State, VersionState
from model_server.versions.manager import Manager
from model_server.versions.serving_map import ServingMap
from tests.waiting import wait_for

QUICK = LoadSettings(load_threads=4, unload_threads=4, max_retries=2, retry_interval_s=0.001, tick_s=0.005, recheck_s=0.005)


class Thing:
    """A servable that knows whether it was freed."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.closed = False

    def close(self) -> None:
        self.closed = True


class RecordingHistory(History):
    """Remembers every state that was ever published, and what ``on_available`` said just before an AVAILABLE."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[int, State]] = []
        self.on_available: Callable[[], bool] = lambda: False
        self.seen: list[bool] = []

    def publish(self, model: str, entry: VersionState) -> None:
        self.events.append((entry.version, entry.state))
        if entry.state is State.AVAILABLE:
            self.seen.append(self.on_available())
        super().publish(model, entry)


class World:
    """A manager and what it fills; ``failing`` versions cannot be loaded, ``gates`` hold a load up."""

    def __init__(self, settings: LoadSettings = QUICK) -> None:
        self.failing: set[int] = set()
        self.gates: dict[int, threading.Event] = {}
        self.files: dict[str, str] = {}
        self.attempts: list[int] = []
        self.paths: list[str] = []
        self.things: list[Thing] = []
        self.history = RecordingHistory()
        self.serving: ServingMap[Thing] = ServingMap()
        self.manager: Manager[Thing] = Manager(self.load, self.files.get, self.serving, self.history, settings)

    def load(self, model: str, version: int, path: str) -> Thing:
        self.attempts.append(version)
        self.paths.append(path)
        if version in self.gates:
            assert self.gates[version].wait(30)
        if version in self.failing:
            raise ServingError(StatusCode.NOT_FOUND, f"no {version} in {path}")
        self.things.append(Thing(version))
        return self.things[-1]

    def aspire(self, *versions: int) -> None:
        self.manager.aspire("m", {version: f"/m/{version}" for version in versions})

    def states(self) -> dict[int, State]:
        return {entry.version: entry.state for entry in self.history.versions("m")}

    def wait_for(self, states: dict[int, State]) -> None:
        wait_for(lambda: self.states() == states)


@pytest.fixture
def make_world() -> Iterator[Callable[..., World]]:
    worlds: list[World] = []

    def make(settings: LoadSettings = QUICK) -> World:
        worlds.append(World(settings))
        return worlds[-1]

    yield make
    for world in worlds:
        for gate in world.gates.values():
            gate.set()
        world.manager.stop()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()


def test_a_rollout_loads_the_new_version_before_the_old_one_goes(world: World):
    world.aspire(1)
    world.wait_for({1: State.AVAILABLE})
    world.aspire(2)
    world.wait_for({2: State.AVAILABLE, 1: State.END})
    assert world.history.events == [
        (1, State.START),
        (1, State.LOADING),
        (1, State.AVAILABLE),
        (2, State.START),
        (2, State.LOADING),
        (2, State.AVAILABLE),
        (1, State.UNLOADING),
        (1, State.END),
    ]
    assert [thing.closed for thing in world.things] == [True, False]


def test_a_version_can_be_reached_before_it_is_called_available(world: World):
    world.history.on_available = lambda: world.serving.has("m", 1)
    world.aspire(1)
    world.wait_for({1: State.AVAILABLE})
    assert world.history.seen == [True]


def test_a_failing_version_is_retried_then_reported_and_the_old_one_kept(world: World):
    world.aspire(1)
    world.wait_for({1: State.AVAILABLE})
    world.failing = {2}
    world.aspire(2)
    world.wait_for({2: State.END, 1: State.AVAILABLE})
    assert world.attempts == [1, 2, 2, 2]
    entry = world.history.get("m", 2)
    assert entry is not None
    assert str(entry.error) == "NOT_FOUND: no 2 in /m/2"
    with world.serving.use("m", None) as thing:
        assert thing.version == 1


def test_a_failed_version_is_tried_again_only_after_it_went_and_came_back(world: World):
    world.failing = {1}
    world.aspire(1)
    world.wait_for({1: State.END})
    world.failing = set()
    world.aspire(1, 2)
    world.wait_for({1: State.END, 2: State.AVAILABLE})
    world.aspire(2)
    world.aspire(1, 2)
    world.wait_for({1: State.AVAILABLE, 2: State.AVAILABLE})


def test_a_failed_version_is_tried_again_when_its_files_change(world: World):
    """A directory that is still being copied fails, and serves once the copy is whole."""
    world.failing = {1}
    world.aspire(1)
    world.wait_for({1: State.END})
    world.files["/m/1"] = "half of it"
    wait_for(lambda: len(world.attempts) == 6)
    world.wait_for({1: State.END})
    world.failing = set()
    world.files["/m/1"] = "all of it"
    world.wait_for({1: State.AVAILABLE})
    assert len(world.attempts) == 7


def test_failed_versions_are_tried_again_on_demand_and_only_those(world: World):
    world.failing = {2, 3}
    world.aspire(1, 2)
    world.manager.aspire("other", {3: "/other/3"})
    world.wait_for({1: State.AVAILABLE, 2: State.END})
    wait_for(lambda: world.attempts.count(3) == 3)
    wait_for(lambda: world.history.get("other", 3).state is State.END)
    world.failing = {3}
    world.manager.retry_failed()
    world.wait_for({1: State.AVAILABLE, 2: State.AVAILABLE})
    wait_for(lambda: world.attempts.count(3) == 6)
    assert world.attempts.count(1) == 1


@pytest.mark.parametrize("failing", [set(), {1}], ids=["serving", "failed"])
def test_a_version_wished_for_from_another_directory_is_loaded_from_there(world: World, failing: set[int]):
    world.failing = failing
    world.aspire(1)
    world.wait_for({1: State.END if failing else State.AVAILABLE})
    world.failing = set()
    world.manager.aspire("m", {1: "/other/1"})
    assert [entry.state for entry in world.manager.wished("m")] == [State.START]
    wait_for(lambda: world.paths[-1] == "/other/1")
    world.wait_for({1: State.AVAILABLE})
    assert [thing.closed for thing in world.things] == [True, False][bool(failing) :]


def test_a_version_from_another_directory_is_loaded_although_the_others_fail(world: World):
    world.aspire(1)
    world.wait_for({1: State.AVAILABLE})
    world.failing = {2}
    world.manager.aspire("m", {1: "/other/1", 2: "/other/2"})
    world.wait_for({1: State.AVAILABLE, 2: State.END})
    wait_for(lambda: world.paths[-1] == "/other/1")
    world.wait_for({1: State.AVAILABLE, 2: State.END})
    assert [thing.closed for thing in world.things] == [True, False]


def test_no_longer_wishing_for_a_version_ends_its_retries(make_world: Callable[..., World]):
    world = make_world(LoadSettings(max_retries=5, retry_interval_s=3600, tick_s=0.005))
    world.failing = {1}
    world.aspire(1)
    wait_for(lambda: world.attempts == [1])
    world.aspire()
    world.wait_for({1: State.END})
    assert world.attempts == [1]


def test_a_slow_load_holds_up_no_other_model(world: World):
    world.gates[1] = threading.Event()
    world.aspire(1)
    world.manager.aspire("other", {7: "/other/7"})
    wait_for(lambda: world.serving.has("other", 7))
    assert world.states() == {1: State.LOADING}


def test_unloading_waits_for_the_requests_inside(world: World):
    world.aspire(1)
    world.wait_for({1: State.AVAILABLE})
    with world.serving.use("m", None) as thing:
        world.aspire(2)
        world.wait_for({2: State.AVAILABLE, 1: State.UNLOADING})
        assert not thing.closed
        with pytest.raises(ServingError, match=r"Specific\(m, 1\)"), world.serving.use("m", 1):
            pass
        with world.serving.use("m", None) as newer:
            assert newer.version == 2
    world.wait_for({2: State.AVAILABLE, 1: State.END})
    assert thing.closed


def test_a_version_wished_for_again_goes_on_serving_if_its_files_are_the_same(world: World):
    """A rollback while the new version is still loading."""
    world.gates[2] = threading.Event()
    world.aspire(1)
    world.wait_for({1: State.AVAILABLE})
    world.aspire(2)
    world.wait_for({2: State.LOADING, 1: State.AVAILABLE})
    world.aspire(1)
    world.gates[2].set()
    world.wait_for({2: State.END, 1: State.AVAILABLE})
    assert world.attempts == [1, 2]
    assert not world.things[0].closed


def test_a_version_that_comes_back_while_it_is_unloading_costs_no_other_its_place(world: World):
    world.aspire(1)
    world.wait_for({1: State.AVAILABLE})
    with world.serving.use("m", 1):
        world.aspire(2)
        world.wait_for({2: State.AVAILABLE, 1: State.UNLOADING})
        world.aspire(1)
        for version in (1, 2, 3):  # each rollout of another model takes several decisions
            world.manager.aspire("other", {version: "/other"})
            wait_for(lambda version=version: world.serving.has("other", version))
        assert world.states() == {2: State.AVAILABLE, 1: State.UNLOADING}
    world.wait_for({2: State.END, 1: State.AVAILABLE})


def test_a_version_wished_for_again_with_other_files_is_loaded_anew(world: World):
    world.aspire(1)
    world.wait_for({1: State.AVAILABLE})
    first = world.things[0]
    world.aspire()
    world.files["/m/1"] = "other"
    world.aspire(1)
    wait_for(lambda: len(world.things) == 2)
    world.wait_for({1: State.AVAILABLE})
    assert first.closed
    assert not world.things[1].closed


def test_a_version_that_was_never_started_ends_quietly(make_world: Callable[..., World]):
    world = make_world()
    world.gates[5] = threading.Event()
    world.aspire(5)
    world.wait_for({5: State.LOADING})
    world.aspire(4, 5)
    world.aspire(5)
    wait_for(lambda: world.states().get(4) in (None, State.END))


def test_all_versions_of_a_removed_model_go(world: World):
    world.aspire(1, 2, 3)
    world.wait_for(dict.fromkeys((3, 2, 1), State.AVAILABLE))
    world.aspire()
    world.wait_for(dict.fromkeys((3, 2, 1), State.END))
    assert all(thing.closed for thing in world.things)


def test_stopping_frees_what_is_loaded(world: World):
    world.aspire(1)
    world.wait_for({1: State.AVAILABLE})
    world.manager.stop()
    assert world.things[0].closed


def test_requests_never_fail_while_versions_come_and_go(world: World):
    """Readers that always ask for the latest see some version, whatever happens."""
    world.aspire(1)
    world.wait_for({1: State.AVAILABLE})
    stop, failures = threading.Event(), []

    def ask() -> None:
        while not stop.is_set():
            try:
                with world.serving.use("m", None) as thing:
                    assert not thing.closed
            except Exception as error:  # noqa: BLE001 - any of them is a failure
                failures.append(error)

    readers = [threading.Thread(target=ask) for _ in range(4)]
    for reader in readers:
        reader.start()
    for version in (2, 3, 1, 4):
        world.aspire(version)
        wait_for(lambda version=version: world.states().get(version) is State.AVAILABLE)
        wait_for(lambda: list(world.states().values()).count(State.AVAILABLE) == 1)
    stop.set()
    for reader in readers:
        reader.join()
    assert failures == []
