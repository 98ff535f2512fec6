"""A worker, the gateway or the database is killed in the middle of a rollout: the same plan, exact sums, no step up."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.rollout.plan import State
from gateway.rollout.store.away import StoreAway
from tests.postgres import postgres
from tests.stack.rollout_load import Load
from tests.stack.rollout_stack import RolloutStack, callers
from tests.stack.rollout_versions import EQUAL
from tests.waiting import wait_for

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]

RATE = 60.0
AWAY_S = 30.0 if os.environ.get("LONG_TESTS") else 6.0


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """A PostgreSQL of its own."""
    with postgres() as server:
        yield server


@pytest.fixture(scope="module")
def stack(tmp_path_factory, rollout_versions, database):
    """A rollout that runs at 20 % for as long as the tests do."""
    running = RolloutStack(tmp_path_factory.mktemp("outages"), rollout_versions, ("ramp",), database=database.address())
    try:
        running.start()
        running.rollout("start", "ramp", "--canary", str(EQUAL), "--steps", "20%:1h", "--no-watch")
        running.wait_for_state("ramp", State.RUNNING)
        yield running
    finally:
        running.stop()


def workers(stack: RolloutStack) -> list[int]:
    pid = stack.gateway.process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def counted(stack: RolloutStack) -> int:
    """The requests that the database knows of."""
    totals = stack.store.totals(stack.plan("ramp").id).values()
    return sum(one.canary_requests + one.baseline_requests + one.stable_requests for one in totals)


def settled(stack: RolloutStack) -> int:
    """The same once every worker has written what it knows."""
    seen: list[int] = []

    def is_settled() -> bool:
        seen.append(counted(stack))
        return len(seen) > 3 and len(set(seen[-4:])) == 1

    wait_for(is_settled, 20, 0.7)
    return seen[-1]


def told(load: Load) -> int:
    return sum(answer.status == 200 for answer in load.answers)


def test_a_killed_worker_changes_neither_plan_nor_sums(stack):
    before, was = stack.plan("ramp"), settled(stack)
    with Load(stack.gateway_port, "ramp", RATE, callers(300)) as load:
        wait_for(lambda: told(load) > 3 * RATE)
        os.kill(workers(stack)[0], signal.SIGKILL)
        after = told(load)
        wait_for(lambda: told(load) > after + 3 * RATE)
    assert load.statuses <= {200, 0}
    assert sum(answer.status == 0 for answer in load.answers) <= RATE  # what the worker had when it was killed
    assert stack.plan("ramp") == before
    # What the worker had counted and not yet written, in a second, is lost; nothing is counted twice.
    wait_for(lambda: told(load) - 2 * RATE <= counted(stack) - was <= told(load), 15)


def test_a_killed_gateway_goes_on_with_the_same_plan(stack):
    before, was = stack.plan("ramp"), settled(stack)
    with Load(stack.gateway_port, "ramp", RATE, callers(300)) as load:
        wait_for(lambda: told(load) > 3 * RATE)
        os.killpg(stack.gateway.process.pid, signal.SIGKILL)
        stack.gateway.process.wait(20)
        stack.start_gateway()
        wait_for(stack.is_ready, 60)
        after = told(load)
        wait_for(lambda: told(load) > after + 5 * RATE)
    assert stack.plan("ramp") == before
    wait_for(lambda: told(load) - 3 * RATE <= counted(stack) - was <= told(load), 15)
    assert {answer.version for answer in load.answers[-int(3 * RATE) :]} == {"1", "2"}


def test_a_database_that_is_away_fails_no_request_and_steps_nothing_up(stack, database):
    before, was = stack.plan("ramp"), settled(stack)
    with Load(stack.gateway_port, "ramp", RATE, callers(300)) as load:
        wait_for(lambda: told(load) > 2 * RATE)
        database.stop()
        time.sleep(AWAY_S)
        versions = {answer.version for answer in load.answers[-int(RATE) :]}
        database.start()
        after = told(load)
        wait_for(lambda: told(load) > after + 3 * RATE)
    assert load.statuses == {200}
    assert versions == {"1", "2"}
    with suppress(StoreAway):  # of this test's own connection, which was lost too
        stack.plan("ramp")
    assert stack.plan("ramp") == before
    # Nothing is lost: the sums were kept meanwhile.
    assert settled(stack) - was == told(load)
