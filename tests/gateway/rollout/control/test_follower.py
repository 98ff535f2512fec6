"""Workers that follow one database: they do the same at once, one of them wins, and requests only see snapshots."""

import asyncio
import re
import time
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from structlog.testing import capture_logs

from gateway.backend.version_policy import policy_of, specific, with_policy
from gateway.rollout.changes import change
from gateway.rollout.control.follower import Follower
from gateway.rollout.control.pins import Pins
from gateway.rollout.control.writing import write_policy
from gateway.rollout.decision import FileState
from gateway.rollout.orders import Order, obey
from gateway.rollout.plan import Hold, Plan, State, Step
from gateway.rollout.starting import Wanted, plan_of
from gateway.rollout.store.store import Store
from gateway.telemetry import metrics
from tests.event_loop import on_loop, until
from tests.gateway.rollout.control.worlds import PLAIN, Away, Counted, Servers, a_plan, bad, sound, started

PINNED = with_policy(PLAIN, "digits", specific((2,)))
ONCE = (Step(100_000, 0),)


def labelled(*versions: int) -> str:
    """A file with a label for the last of these versions: no policy without that one can be written there."""
    label = f'version_labels {{ key: "new" value: {versions[-1]} }}'
    return with_policy(PLAIN, "digits", specific(versions)).replace("# ours", label)


class World:
    """A database, a file, servers, and some workers of one or more gateways."""

    def __init__(self, folder, every_s: float) -> None:
        self.file = folder / "models.config"
        self.file.write_text(PINNED)
        self.address = f"sqlite:///{folder}/state.db"
        self.store = Store(self.address)
        self.servers = Servers(self.file)
        self.workers: list[Counted] = []
        self.databases: list[Away] = []
        self._every_s = every_s
        self._stack = AsyncExitStack()

    async def gateway(
        self, workers: int = 1, *, servers: Servers | None = None, host: str = "h1", has_file: bool = True, **given
    ) -> None:
        """Another gateway, with so many workers. ``has_file``: it knows of the file that its servers read."""
        for _ in range(workers):
            number = len(self.workers)
            rollouts, database = Counted(), Away(Store(self.address))
            at = servers or self.servers
            file = at.file if has_file else None
            follower = Follower(
                database, rollouts, at, file, every_s=self._every_s, host=host, boot=f"{host}-{number}", **given
            )
            self.workers.append(rollouts)
            self.databases.append(database)
            await follower.start()
            self._stack.push_async_callback(follower.close)

    def start(self, **changes) -> None:
        now_us = time.time_ns() // 1000
        plan = a_plan(**{"created_us": now_us, "state_us": now_us, "step_us": now_us} | changes)
        assert self.store.create(plan, started(plan))

    def order(self, order: Order) -> Plan:
        """Give an order, as the command line does."""
        while True:
            plan = self.plan
            after, event = obey(plan, order, time.time_ns() // 1000, "anna")
            if self.store.change(plan, after, event):
                return after

    @property
    def plan(self) -> Plan:
        plan = self.store.newest("digits")
        assert plan is not None
        return plan

    @property
    def says(self) -> tuple[int, ...] | None:
        return policy_of(self.file.read_text(), "digits").specific

    def seen(self) -> list[int]:
        """The revision that each worker has seen, which means that its own part of it is done."""
        return [worker.seen.get(self.plan.id, 0) for worker in self.store.workers().values()]

    def events(self, *but: str) -> list[str]:
        """What has happened, the oldest first."""
        return [event.what for event in reversed(self.store.history("digits")) if event.what not in ("wait", *but)]

    async def looked(self) -> None:
        """Until each worker has had time for any change that it would make."""
        before = [database.syncs for database in self.databases]
        await until(lambda: all(now.syncs >= then + 15 for now, then in zip(self.databases, before, strict=True)))

    async def until(self, state: State, hold: Hold = Hold.NONE) -> Plan:
        await until(lambda: (self.plan.state, self.plan.hold) == (state, hold), 30)
        return self.plan

    async def followed(self, weight: int) -> None:
        """Until every worker sends so much to the canary."""
        await until(lambda: all(self.weight(worker) == weight for worker in self.workers))

    def weight(self, worker: Counted) -> int:
        running = worker.of("digits")
        return -1 if running is None else running.plan.canary_weight

    async def close(self) -> None:
        await self._stack.aclose()
        self.store.close()


@asynccontextmanager
async def a_world(folder, every_s: float = 0.02):
    world = World(folder, every_s)
    try:
        yield world
    finally:
        await world.close()


@on_loop
async def test_a_draft_gets_its_first_callers_once_both_versions_are_loaded_and_warm(tmp_path):
    async with a_world(tmp_path) as world:
        await world.gateway(3)
        world.start()
        plan = await world.until(State.RUNNING)
        await world.followed(100_000)
        assert (plan.stable, plan.weight) == (2, 100_000)
        assert world.says == (2, 3)
        assert world.servers.loaded() == (3, 2)
        # Three workers did the same at the same time.
        assert world.events() == ["start", "pin", "load", "warm", "run"]
        assert [worker.weights for worker in world.workers] == [[0, 100_000]] * 3


@on_loop
async def test_a_canary_is_warmed_up_before_its_first_caller_by_one_worker_of_a_host(tmp_path):
    from tests.gateway.rollout.control.test_warming import row, sink_of

    async with a_world(tmp_path) as world:
        sink = sink_of(tmp_path, row(1), row(2))
        await world.gateway(3, sink=sink)
        world.start()
        await world.until(State.RUNNING)
        assert world.servers.by_address["one:8500"].asked == [(3, "s1"), (3, "s2")]
        run = next(event for event in world.store.history("digits") if event.what == "run")
        assert run.reason == "2 of 2 requests of the prediction log were answered by 1 model server"


@on_loop
async def test_every_gateway_loads_on_its_own_servers_before_anybody_is_sent_there(tmp_path):
    async with a_world(tmp_path) as world:
        other = tmp_path / "other"
        other.mkdir()
        (other / "models.config").write_text(PINNED)
        servers = Servers(other / "models.config", "two:8500", versions=(2,))  # the new version is not there yet
        await world.gateway(2)
        await world.gateway(2, servers=servers, host="h2")
        world.start()
        await until(lambda: policy_of(servers.file.read_text(), "digits").specific == (2, 3))
        await until(lambda: [seen == world.plan.revision for seen in world.seen()].count(True) == 2)
        assert len(world.seen()) == 4
        assert world.plan.state is State.LOADING
        servers.versions = (2, 3)
        servers.look()
        await world.until(State.RUNNING)
        await world.followed(100_000)


@on_loop
async def test_an_order_is_followed_within_two_seconds_by_every_worker_of_every_gateway(tmp_path):
    """At the pace of a real gateway, and with a model server that answers late."""
    async with a_world(tmp_path, every_s=1.0) as world:
        await world.gateway(2)
        await world.gateway(2, host="h2")
        world.start(state=State.RUNNING, stable=2, weight=100_000)
        write_policy(world.file, "digits", specific((2, 3)))
        world.servers.look()
        await world.followed(100_000)

        statuses = world.servers.statuses

        async def late(model, within_s):
            await asyncio.sleep(within_s)
            return await statuses(model, within_s)

        world.servers.statuses = late
        for order, weight in ((Order.STEP, 500_000), (Order.PROMOTE, 1_000_000), (Order.UNDO, 0)):
            world.order(order)
            started_s = time.monotonic()
            await world.followed(weight)
            assert time.monotonic() - started_s < 2.0


@pytest.mark.parametrize("is_away", [False, True], ids=["servers there", "servers away"])
@on_loop
async def test_a_worse_canary_is_taken_back_once_by_all_together(tmp_path, is_away):
    async with a_world(tmp_path) as world:
        await world.gateway(3)
        world.start()
        await world.until(State.RUNNING)
        await world.followed(100_000)
        if is_away:
            world.servers.away = {"one:8500"}
            await asyncio.sleep(0)
        counted = metrics.ROLLOUT_DECISIONS.labels("digits", "rollback", "error")._value.get()
        for worker in world.workers:
            worker.sums[world.plan.id, 0] = bad(3, 4)  # no proof by itself
        plan = await world.until(State.ROLLED_BACK)
        await world.followed(0)
        assert re.match("errors (6 of 8|9 of 12) bad cells on the canary", plan.reason)
        assert world.events() == ["start", "pin", "load", "warm", "run", "rollback", "rolled_back"]
        assert metrics.ROLLOUT_DECISIONS.labels("digits", "rollback", "error")._value.get() == counted + 1
        assert world.says == (2, 3), "both stay loaded until `clean`"
        world.servers.away = set()
        world.order(Order.CLEAN)
        await until(lambda: not world.plan.is_open)
        assert (world.says, world.servers.loaded()) == ((2,), (2,))
        await until(lambda: all(worker.of("digits") is None for worker in world.workers))


@on_loop
async def test_a_good_canary_is_promoted_and_the_old_version_goes(tmp_path):
    async with a_world(tmp_path) as world:
        await world.gateway(3)
        world.start(steps=ONCE, keep_old_s=0)
        await world.until(State.RUNNING)
        world.workers[0].sums[world.plan.id, 0] = sound()
        await until(lambda: not world.plan.is_open)
        assert world.plan.state is State.DONE
        assert world.events() == ["start", "pin", "load", "warm", "run", "promote", "bake_after", "done", "close"]
        assert (world.says, world.servers.loaded()) == ((3,), (3,))
        assert [worker.weights for worker in world.workers] == [[0, 100_000, 1_000_000]] * 3


@on_loop
async def test_a_server_without_the_canary_gets_no_callers_of_it_until_it_has_it(tmp_path):
    async with a_world(tmp_path) as world:
        world.servers = Servers(world.file, "one:8500", "two:8500")
        await world.gateway(2)
        world.start()
        await world.until(State.RUNNING)
        world.servers.broken["two:8500"] = {3}
        plan = await world.until(State.HOLDING, Hold.NOT_LOADED)
        await world.followed(0)
        assert plan.reason == "two:8500 does not serve version 3 (which it does not know)"
        world.servers.broken.clear()
        await world.until(State.RUNNING)
        await world.followed(100_000)


@on_loop
async def test_one_gateway_without_the_canary_holds_it_for_all_and_they_do_not_flap(tmp_path):
    async with a_world(tmp_path) as world:
        other = Servers(world.file, "two:8500")
        await world.gateway(1)
        await world.gateway(1, servers=other, host="h2")
        world.start()
        await world.until(State.RUNNING)
        other.broken["two:8500"] = {3}
        held = await world.until(State.HOLDING, Hold.NOT_LOADED)
        # The gateway whose servers have it knows, and does not go on alone.
        await until(lambda: world.store.workers()["h1-0"].seen == {held.id: held.revision})
        assert world.store.workers()["h2-1"].seen != {held.id: held.revision}
        assert world.plan == held
        other.broken.clear()
        await world.until(State.RUNNING)
        assert world.events() == ["start", "pin", "load", "warm", "run", "hold", "release"]


@on_loop
async def test_a_file_changed_by_hand_holds_and_is_written_again_by_order_only(tmp_path):
    async with a_world(tmp_path) as world:
        await world.gateway(2)
        world.start()
        await world.until(State.RUNNING)
        write_policy(world.file, "digits", specific((1, 2, 3)))
        await world.until(State.HOLDING, Hold.FILE_CHANGED)
        await world.followed(100_000)  # the weight stays: both are loaded
        assert world.says == (1, 2, 3)
        world.order(Order.RESUME)
        await world.until(State.RUNNING)
        assert world.says == (2, 3)
        assert world.events() == ["start", "pin", "load", "warm", "run", "hold", "resume", "warm", "run"]


@on_loop
async def test_a_version_that_was_taken_out_of_the_file_by_hand_is_told_with_the_file(tmp_path):
    async with a_world(tmp_path) as world:
        await world.gateway(2)
        world.start()
        await world.until(State.RUNNING)
        write_policy(world.file, "digits", specific((2,)))
        world.servers.look()
        held = await world.until(State.HOLDING, Hold.NOT_LOADED)
        assert f"the entry of digits in {world.file}, which does not name version 3: `resume` writes it" in held.reason


@on_loop
async def test_other_entries_and_comments_may_be_changed_by_hand(tmp_path):
    async with a_world(tmp_path) as world:
        await world.gateway(1)
        world.start()
        plan = await world.until(State.RUNNING)
        edited = world.file.read_text().replace("# ours", "# theirs").replace("list {", 'list { config { name: "b" }')
        world.file.write_text(edited)
        world.workers[0].sums[plan.id, 0] = sound()
        await until(lambda: world.store.totals(plan.id).get(0) == sound())
        await until(lambda: world.store.workers()["h1-0"].seen == {plan.id: plan.revision})
        assert world.plan == plan


@on_loop
async def test_while_the_database_is_away_the_last_plans_stay_and_no_step_is_taken(tmp_path):
    async with a_world(tmp_path) as world:
        await world.gateway(2)
        world.start(steps=(Step(100_000, 0), Step(500_000, 600)))
        plan = await world.until(State.RUNNING)
        await world.followed(100_000)
        for database in world.databases:
            database.is_away = True
        for worker in world.workers:
            worker.sums[plan.id, 0] = sound()  # enough for the step, if anybody knew
        world.workers[0].keep_sample(plan.id, {"id": "a request"})
        await until(lambda: not world.workers[0]._samples)
        assert world.plan.revision == plan.revision
        assert [world.weight(worker) for worker in world.workers] == [100_000] * 2
        for database in world.databases:
            database.is_away = False
        await world.followed(500_000)
        assert world.store.totals(plan.id)[0] == sound() + sound()
        assert world.store.samples(plan.id) == ({"id": "a request"},)


@on_loop
async def test_without_the_database_a_worker_takes_back_only_what_it_can_prove_alone(tmp_path):
    async with a_world(tmp_path) as world:
        await world.gateway(2)
        world.start()
        plan = await world.until(State.RUNNING)
        await world.followed(100_000)
        await until(lambda: len(world.store.workers()) == 2)
        for database in world.databases:
            database.is_away = True
        one, other = world.workers
        one.sums[plan.id, 0] = bad(14, 14)
        other.sums[plan.id, 0] = bad(7, 9)  # enough for all together, and not for one
        await until(lambda: world.weight(one) == 0)
        assert world.weight(other) == 100_000
        assert world.plan.revision == plan.revision
        world.databases[0].is_away = False
        await world.until(State.ROLLING_BACK)
        world.databases[1].is_away = False
        await world.until(State.ROLLED_BACK)
        await world.followed(0)
        assert world.events().count("rollback") == 1


@on_loop
async def test_what_was_counted_is_written_when_a_worker_ends(tmp_path):
    async with a_world(tmp_path, every_s=600.0) as world:
        world.start(state=State.RUNNING, stable=2, weight=100_000)
        await world.gateway(1)
        await world.followed(100_000)
        world.workers[0].sums[world.plan.id, 0] = sound()
        await world._stack.aclose()
        assert world.store.totals(world.plan.id) == {0: sound()}


@on_loop
async def test_the_metrics_say_where_the_rollout_stands(tmp_path):
    async with a_world(tmp_path) as world:
        await world.gateway(1)
        world.start(model="digits")
        await world.until(State.RUNNING)
        await until(lambda: metrics.ROLLOUT_WEIGHT.labels("digits")._value.get() == 0.1)
        assert metrics.ROLLOUT_STATE.labels("digits", "running")._value.get() == 1
        assert metrics.ROLLOUT_STATE.labels("digits", "warming")._value.get() == 0
        world.workers[0].sums[world.plan.id, 0] = bad(2, 2)
        await until(lambda: metrics.ROLLOUT_LOG_E.labels("digits", "error")._value.get() > 1)
        assert metrics.ROLLOUT_LOG_E.labels("digits", "all")._value.get() > 0


def test_the_states_of_a_file_are_those_that_are_decided_by():
    assert {state.value for state in FileState} == {"agrees", "behind", "changed", "unknown"}


@on_loop
async def test_a_worker_knows_the_plans_before_its_first_request(tmp_path):
    """To the model server, the latest version is the one that answers: that may be a canary."""
    async with a_world(tmp_path) as world:
        world.start(state=State.RUNNING, stable=2, weight=100_000)
        await world.gateway()
        assert world.workers[0].of("digits") is not None


@on_loop
async def test_a_worker_that_cannot_read_the_plans_says_so_until_it_can(tmp_path):
    async with a_world(tmp_path) as world:
        database = Away(Store(world.address))
        database.is_away = True
        follower = Follower(database, Counted(), world.servers, world.file, every_s=0.02)
        await follower.start()
        try:
            assert "could not be read yet: it is being restarted" in follower.problem()
            database.is_away = False
            await until(lambda: not follower.problem())
        finally:
            await follower.close()


@on_loop
async def test_versions_that_clients_name_stay_loaded_whatever_becomes_of_the_canary(tmp_path):
    async with a_world(tmp_path) as world:
        write_policy(world.file, "digits", specific((1, 2)))
        world.servers = Servers(world.file, versions=(1, 2, 3))
        await world.gateway(2)
        world.start()
        await world.until(State.RUNNING)
        assert (world.plan.others, world.says, world.servers.loaded()) == ((1,), (1, 2, 3), (3, 2, 1))
        world.order(Order.PROMOTE)
        await world.until(State.BAKE_AFTER)
        world.order(Order.CLEAN)
        await until(lambda: not world.plan.is_open)
        assert (world.says, world.servers.loaded()) == ((1, 3), (3, 1))


@on_loop
async def test_what_only_another_gateway_serves_stays_loaded_there_too(tmp_path):
    async with a_world(tmp_path) as world:
        (tmp_path / "other").mkdir()
        file = tmp_path / "other" / "models.config"
        file.write_text(with_policy(PLAIN, "digits", specific((1, 2))))
        other = Servers(file, "two:8500", versions=(1, 2, 3))
        await world.gateway(1)
        await world.gateway(1, servers=other, host="h2")
        world.start()
        await world.until(State.RUNNING)
        assert other.loaded("two:8500") == (3, 2, 1)
        assert world.servers.loaded() == (3, 2), "version 1 is not there, and nobody waits for it"


@on_loop
async def test_requests_stay_pinned_while_a_newer_version_than_the_promoted_one_is_kept(tmp_path):
    """To the model server, the latest version is the one that answers."""
    async with a_world(tmp_path) as world:
        write_policy(world.file, "digits", specific((2, 3)))
        world.servers = Servers(world.file, versions=(1, 2, 3))
        await world.gateway(1)
        world.start(canary=1, stable=2, is_back=True)
        await world.until(State.RUNNING)
        world.order(Order.PROMOTE)
        await world.until(State.BAKE_AFTER)
        world.order(Order.CLEAN)
        await world.until(State.DONE)
        await until(lambda: world.says == (1, 3) and world.servers.loaded() == (3, 1))
        await world.looked()
        assert world.plan.is_open
        assert world.weight(world.workers[0]) == 1_000_000


@pytest.mark.parametrize("has_file", [True, False], ids=["file", "no file"])
@on_loop
async def test_requests_stay_pinned_while_what_failed_in_the_rollout_before_is_loaded(tmp_path, has_file):
    """A rollout that ended before it had its versions loaded has left the file as the one before it wrote it."""
    async with a_world(tmp_path) as world:
        world.file.write_text(labelled(1, 2))
        world.servers = Servers(world.file, versions=(1, 2, 3))
        world.start(id="digits-2-0", stable=1, canary=2, state=State.ROLLED_BACK)
        await world.gateway(2, has_file=has_file)
        world.start(stable=1, canary=3, state=State.ABORTED, stays_open=True, leaves=(2,))
        world.order(Order.CLEAN)
        await world.looked()
        assert world.plan.is_open
        assert [world.weight(worker) for worker in world.workers] == [0, 0]
        world.file.write_text(with_policy(PLAIN, "digits", specific((1, 2) if has_file else (1,))))
        world.servers.look()
        await until(lambda: not world.plan.is_open)
        assert (world.says, world.servers.loaded()) == ((1,), (1,))


@on_loop
async def test_a_pin_on_a_version_that_is_lost_is_ended_by_a_rollout_with_another_stable(tmp_path):
    async with a_world(tmp_path) as world:
        world.file.write_text(with_policy(PLAIN, "digits", specific((1, 2))))
        world.servers = Servers(world.file, versions=(2, 3))  # version 1 is not there any more
        (tmp_path / "other").mkdir()
        file = tmp_path / "other" / "models.config"
        file.write_text(with_policy(PLAIN, "digits", specific((1, 2))))
        other = Servers(file, "two:8500", versions=(1, 2, 3))
        world.start(id="digits-2-0", stable=1, canary=2, state=State.ABORTED)
        await world.gateway(1)
        await world.gateway(1, servers=other, host="h2")
        for name in ("one", "two"):
            previous = world.plan
            plan = plan_of("digits", Wanted(canary=3, stable=2), name, time.time_ns() // 1000, previous)
            assert world.store.create(plan, started(plan))
            if name == "two":
                break
            refused = await world.until(State.REFUSED)
            assert (refused.kept, refused.is_open) == (1, True), "another gateway's server answers with it"
            other.versions = (2, 3)
            other.look()
            await world.looked()
        await world.until(State.RUNNING)
        assert (world.plan.stable, world.plan.others, world.says) == (2, (), (2, 3))
        await world.followed(world.plan.weight)


@on_loop
async def test_requests_stay_pinned_while_another_gateways_servers_would_send_them_elsewhere(tmp_path):
    async with a_world(tmp_path) as world:
        (tmp_path / "other").mkdir()
        file = tmp_path / "other" / "models.config"
        file.write_text(with_policy(PLAIN, "digits", specific((2, 3, 4))))  # by hand
        other = Servers(file, "two:8500", versions=(2, 3, 4))
        world.start(stable=2, state=State.ROLLED_BACK, drops_other=True)
        await world.gateway(1)
        await world.gateway(1, servers=other, host="h2")
        await world.looked()
        assert world.plan.is_open
        write_policy(file, "digits", specific((2,)))
        other.look()
        await until(lambda: not world.plan.is_open)


@on_loop
async def test_one_gateway_whose_file_was_changed_holds_it_for_all_and_they_do_not_flap(tmp_path):
    async with a_world(tmp_path) as world:
        (tmp_path / "other").mkdir()
        file = tmp_path / "other" / "models.config"
        file.write_text(PINNED)
        await world.gateway(1)
        await world.gateway(1, servers=Servers(file, "two:8500"), host="h2")
        world.start(steps=(Step(100_000, 0), Step(500_000, 600)))
        await world.until(State.RUNNING)
        write_policy(file, "digits", specific((1, 2, 3)))
        held = await world.until(State.HOLDING, Hold.FILE_CHANGED)
        world.workers[0].sums[held.id, 0] = sound()  # enough for the step
        # The gateway whose file agrees knows, and does not go on alone.
        await until(lambda: world.store.workers()["h1-0"].seen == {held.id: held.revision})
        await until(lambda: world.store.totals(held.id).get(0) == sound())
        assert world.store.workers()["h2-1"].seen != {held.id: held.revision}
        assert world.plan == held
        write_policy(file, "digits", specific((2, 3)))
        await world.followed(500_000)
        assert world.events() == ["start", "pin", "load", "warm", "run", "hold", "release", "step"]


@on_loop
async def test_a_refused_canary_stays_out_until_every_file_lets_go_of_it(tmp_path):
    async with a_world(tmp_path) as world:
        (tmp_path / "other").mkdir()
        file = tmp_path / "other" / "models.config"
        both = with_policy(PLAIN, "digits", specific((2, 3)))
        file.write_text(both.replace("# ours", 'version_labels { key: "new" value: 3 }'))  # no other policy can be written
        hour_ago_us = time.time_ns() // 1000 - 3_600_000_000
        world.start(stable=2, state=State.REFUSED, reason="no", former="", former_in="h1:/x", state_us=hour_ago_us)
        await world.gateway(1)
        await world.gateway(1, servers=Servers(file, "two:8500"), host="h2")
        await until(lambda: sorted(world.seen()) == [0, 1])
        assert world.plan.is_open
        assert [world.weight(worker) for worker in world.workers] == [0, 0]
        file.write_text(both)
        await until(lambda: not world.plan.is_open)
        assert policy_of(file.read_text(), "digits").specific == (2,)
        assert world.plan.reason == "no"


def closed_by_others(world: World, **values) -> None:
    """The other gateways have let the plan go."""
    plan = world.plan
    after, event = change(plan, plan.state_us, "close", is_open=False, drops_other=True, **values)
    assert world.store.change(plan, after, event)


async def missed(world: World, **values) -> None:
    """The gateways follow the database again, and others have let the plan go meanwhile."""
    for database in world.databases:
        database.is_away = True
    closed_by_others(world, **values)
    for database in world.databases:
        database.is_away = False
    await world.looked()


@on_loop
async def test_a_gateway_that_missed_the_end_goes_on_pinned_until_its_own_servers_let_go_of_what_failed(tmp_path):
    async with a_world(tmp_path) as world:
        world.file.write_text(labelled(2, 3))
        world.servers.look()
        world.start(state=State.ROLLED_BACK, stable=2)
        pins = Pins(tmp_path / "pins.json")
        await world.gateway(2, pins=pins)
        await world.followed(0)
        with capture_logs() as lines:
            await missed(world)
        told = [(line["version"], line["missing"]) for line in lines if line["event"] == "rollout.pin_kept"]
        assert told == [(2, "one:8500 still serves version 3")] * 2
        assert [worker.of("digits").plan.kept for worker in world.workers] == [2, 2]
        assert [plan.stable for plan in pins.read()] == [2], "a start of this host would need it"
        world.file.write_text(with_policy(PLAIN, "digits", specific((2, 3))))
        await until(lambda: all(worker.of("digits") is None for worker in world.workers))
        assert (world.says, world.servers.loaded()) == ((2,), (2,))
        await until(lambda: not pins.read())


@on_loop
async def test_what_is_kept_after_a_missed_end_is_what_the_rollout_has_come_to(tmp_path):
    async with a_world(tmp_path) as world:
        world.servers = Servers(world.file, versions=(1, 2))
        world.file.write_text(labelled(1, 2))
        world.servers.look()
        world.start(state=State.RUNNING, stable=2, canary=1, weight=100_000)
        await world.gateway()
        await world.followed(100_000)
        await missed(world, state=State.DONE)
        assert world.weight(world.workers[0]) == 1_000_000
        assert world.workers[0].of("digits").plan.kept == 1


@on_loop
async def test_a_start_after_a_missed_end_goes_on_with_the_last_pin(tmp_path):
    async with a_world(tmp_path) as world:
        world.file.write_text(labelled(2, 3))
        world.servers.look()
        world.start(state=State.ROLLED_BACK, stable=2)
        pins = Pins(tmp_path / "pins.json")
        pins.note([world.plan])
        closed_by_others(world)
        await world.gateway(pins=pins)
        await world.looked()
        assert world.workers[0].of("digits").plan.kept == 2
        world.start(id="digits-4-0", canary=4, stable=2)
        await until(lambda: world.workers[0].of("digits").plan.id == "digits-4-0")


@pytest.mark.parametrize(
    ("values", "newest"),
    [({"state": State.ROLLED_BACK}, 2), ({"state": State.ROLLED_BACK}, 4), ({"state": State.ABORTED}, 3)],
    ids=["let go here too", "newer by hand", "a draft"],
)
@on_loop
async def test_no_pin_stays_where_the_servers_do_not_need_it(tmp_path, values, newest):
    async with a_world(tmp_path) as world:
        world.servers = Servers(world.file, versions=(2, 3, 4))
        write_policy(world.file, "digits", specific((2, newest)))
        world.servers.look()
        world.start(stable=2, **values)
        await world.gateway()
        await world.followed(0)
        plan = world.plan
        after, event = change(plan, plan.state_us, "close", is_open=False, drops_other=plan.state is State.ROLLED_BACK)
        assert world.store.change(plan, after, event)
        await until(lambda: world.workers[0].of("digits") is None)


@on_loop
async def test_a_start_without_the_database_sends_nobody_to_a_version_that_was_taken_back(tmp_path):
    async with a_world(tmp_path) as world:
        pins = tmp_path / "pins.json"
        world.start(state=State.ROLLED_BACK, stable=2)
        await world.gateway(2, pins=Pins(pins))
        await until(pins.exists)
        rollouts, database = Counted(), Away(Store(world.address))
        database.is_away = True
        follower = Follower(database, rollouts, world.servers, world.file, every_s=0.02, pins=Pins(pins))
        await follower.start()
        try:
            assert follower.problem(), "the plans may have changed meanwhile"
            running = rollouts.of("digits")
            assert running is not None
            assert (running.plan.kept, running.plan.canary_weight) == (2, 0)
            database.is_away = False
            await until(lambda: not follower.problem())
            assert rollouts.of("digits").plan.id == world.plan.id
            assert set(world.store.totals("pin-digits")) == set()
        finally:
            await follower.close()
