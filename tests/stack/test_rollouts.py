"""Rollouts in the running stack: begun, ordered and looked at by the command, with two workers that follow."""

import json
import os
import re
import subprocess
import sys

import pytest

from gateway.rollout.plan import Plan, State
from gateway.rollout.store.store import Store
from tests.stack.conftest import ROOT, export
from tests.waiting import wait_for

MODEL = "half_plus_two"
# What each gateway promises: an order, or a decision, is followed within this time.
FOLLOWED_S = 5.0
LOADED_S = 30.0


class RolloutStack:
    """A stack with versions 1 and 2 of a model, of which 1 is served, and the rollout commands on its state."""

    def __init__(self, stack, state_dir) -> None:
        self.stack = stack
        self.state_dir = state_dir
        self.store = Store(f"sqlite:///{state_dir}/state.db")

    def command(self, *arguments: str) -> subprocess.CompletedProcess:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
        return subprocess.run(
            [sys.executable, "-m", "gateway", "rollout", *arguments],
            check=False,
            cwd=ROOT,
            env=environment | {"GATEWAY_STATE_DIR": str(self.state_dir)},
            capture_output=True,
            text=True,
            timeout=60,
        )

    def run(self, *arguments: str) -> str:
        done = self.command(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def status(self) -> dict:
        [status] = json.loads(self.run("status", MODEL, "--json"))
        return status

    def plan(self) -> Plan:
        return self.store.newest(MODEL)

    def begin(self, *options: str) -> None:
        self.run("start", MODEL, "--canary", "2", "--no-watch", *options)

    def reach(self, state: State) -> None:
        def is_there() -> bool:
            plan = self.plan()
            assert plan.state is state or not plan.is_ended, plan
            return plan.state is state

        wait_for(is_there, LOADED_S)

    def wait_until_closed(self) -> None:
        wait_for(lambda: not self.plan().is_open, LOADED_S)

    def version(self) -> str:
        answer = self.stack.post(f"/v1/models/{MODEL}:predict", {"instances": [1.0]})
        assert answer.status_code == 200, answer.text
        return answer.headers["X-Model-Version"]

    def versions(self, calls: int = 60) -> set[str]:
        return {self.version() for _ in range(calls)}

    def pinned(self) -> list[int]:
        return sorted(map(int, re.findall(r"versions: (\d+)", self.stack.config.read_text())))


@pytest.fixture
def rollouts(make_stack, models_dir, tmp_path):
    stack = make_stack((MODEL,), state_dir=tmp_path / "state")
    stack.write_config((MODEL,), "model_version_policy { specific { versions: 1 } }")
    export("build", MODEL, "--models-dir", str(models_dir))
    made = RolloutStack(stack, tmp_path / "state")
    yield made
    made.store.close()


def test_a_rollout_shares_the_requests_until_it_is_aborted_and_cleaned(rollouts):
    assert rollouts.versions(5) == {"1"}
    rollouts.begin("--steps", "50%:manual")
    rollouts.reach(State.RUNNING)
    assert rollouts.pinned() == [1, 2]
    assert len({worker["pid"] for worker in rollouts.status()["workers"]}) == 2
    wait_for(lambda: rollouts.versions() == {"1", "2"}, FOLLOWED_S)
    assert "aborted" in rollouts.run("abort", MODEL, "--note", "seen enough")
    wait_for(lambda: rollouts.versions() == {"1"}, FOLLOWED_S)
    assert rollouts.pinned() == [1, 2]
    rollouts.run("clean", MODEL)
    rollouts.wait_until_closed()
    assert rollouts.pinned() == [1]
    assert rollouts.versions(5) == {"1"}
    history = rollouts.run("history", MODEL)
    assert "seen enough" in history


def test_a_promoted_version_can_be_undone_while_the_old_one_is_loaded(rollouts):
    rollouts.begin("--steps", "1%:manual")
    rollouts.reach(State.RUNNING)
    rollouts.run("promote", MODEL)
    rollouts.reach(State.BAKE_AFTER)
    wait_for(lambda: rollouts.versions() == {"2"}, FOLLOWED_S)
    rollouts.run("undo", MODEL)
    rollouts.reach(State.ROLLED_BACK)
    wait_for(lambda: rollouts.versions() == {"1"}, FOLLOWED_S)
    refused = rollouts.command("start", MODEL, "--canary", "2")
    assert refused.returncode == 1
    assert "--again" in refused.stdout


def test_a_version_that_stays_promoted_is_kept_alone(rollouts):
    rollouts.begin("--steps", "1%:manual", "--keep-old", "1s")
    rollouts.reach(State.RUNNING)
    rollouts.run("promote", MODEL)
    rollouts.reach(State.DONE)
    rollouts.wait_until_closed()
    assert rollouts.pinned() == [2]
    assert rollouts.versions(5) == {"2"}


def test_a_version_that_is_not_there_is_refused_in_the_servers_words(rollouts):
    shown = rollouts.command("start", MODEL, "--canary", "9")
    assert shown.returncode == 1
    assert "refused" in shown.stdout
    assert "9" in rollouts.plan().reason
    wait_for(lambda: rollouts.pinned() == [1], FOLLOWED_S)
