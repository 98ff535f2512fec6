"""Two versions live: what the model config file says and who may write it, and model servers with different versions."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.rollout.plan import Hold, State
from tests.stack.conftest import Process
from tests.stack.rollout_load import Load
from tests.stack.rollout_stack import RolloutStack, callers
from tests.stack.rollout_versions import EQUAL, STABLE
from tests.waiting import free_port, wait_for

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

STEPS = ("--steps", "20%:1h", "--no-watch")


@pytest.fixture
def stack(tmp_path, rollout_versions) -> Iterator[RolloutStack]:
    running = RolloutStack(tmp_path, rollout_versions, ("ramp", "other"))
    try:
        yield running.start()
    finally:
        running.stop()


def start(stack: RolloutStack) -> None:
    stack.rollout("start", "ramp", "--canary", str(EQUAL), *STEPS)
    stack.wait_for_state("ramp", State.RUNNING)


def test_the_rest_of_the_file_stays_as_it_is(stack):
    text = "# Ours.\n" + stack.config.read_text().replace("config {", "# One model.\n  config {")
    stack.config.write_text(text)
    start(stack)
    written = stack.config.read_text()
    assert written.count("# One model.") == 2
    assert written.startswith("# Ours.\n")
    assert [line for line in written.splitlines() if '"other"' in line] == [
        line for line in text.splitlines() if '"other"' in line
    ]
    assert stack.post("/v1/models/other:predict", {"instances": [[1.0, 1.0]]}).headers["X-Model-Version"] == str(STABLE)


def test_a_file_that_is_changed_by_hand_in_the_middle_is_told_and_the_rollout_holds(stack):
    start(stack)
    with Load(stack.gateway_port, "ramp", 40.0, callers(100)) as load:
        wait_for(lambda: len(load.answers) > 80)
        by_hand = stack.config.read_text().replace(f"versions: {EQUAL}", "")
        stack.config.write_text(by_hand)
        plan = wait_for(lambda: held(stack), 20)
        more = len(load.answers)
        wait_for(lambda: len(load.answers) > more + 80)
    assert plan.hold in (Hold.FILE_CHANGED, Hold.NOT_LOADED)
    assert load.statuses == {200}
    assert stack.config.read_text() == by_hand
    assert any(event.after.startswith(State.HOLDING) for event in stack.events("ramp"))
    stack.rollout("resume", "ramp")
    stack.wait_for_state("ramp", State.RUNNING)
    assert f"versions: {EQUAL}" in stack.config.read_text()


def held(stack: RolloutStack):
    plan = stack.plan("ramp")
    return plan if plan.state is State.HOLDING else None


def test_a_file_that_cannot_be_written_is_told_with_the_entry_and_the_plan_waits_for_it(tmp_path, rollout_versions):
    """The gateway may only read the file. Somebody writes into it what the plan asks for."""
    stack = RolloutStack(tmp_path, rollout_versions, ("ramp",))
    folder = tmp_path / "config"
    folder.mkdir()
    stack.config = stack.config.rename(folder / "models.config")
    try:
        with read_only(folder, tmp_path / "seen") as seen:
            stack.settings["model_config_file"] = seen / "models.config"
            stack.start()
            stack.rollout("start", "ramp", "--canary", str(EQUAL), *STEPS)
            plan = wait_for(lambda: told(stack), 20)
            assert f"versions: {STABLE}" in plan.reason
            assert f"versions: {EQUAL}" in plan.reason
            stack.write_config(("ramp",), f"model_version_policy {{ specific {{ versions: {STABLE} versions: {EQUAL} }} }}")
            stack.wait_for_state("ramp", State.RUNNING)
            stack.stop()
    finally:
        stack.stop()


@contextmanager
def read_only(folder: Path, seen: Path) -> Iterator[Path]:
    """``folder`` where nobody can make a file in it: to root, whom no mode stops, by another mount at ``seen``."""
    if os.geteuid() != 0:
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)
        return
    seen.mkdir()
    subprocess.run(["mount", "--bind", folder, seen], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", seen], check=True)
        yield seen
    finally:
        subprocess.run(["umount", "--lazy", seen], check=True)


def told(stack: RolloutStack):
    plan = stack.plan("ramp")
    return plan if plan.state is State.LOADING and plan.reason else None


def test_two_servers_of_which_one_loses_the_canary_tell_no_caller(tmp_path, rollout_versions):
    stack = TwoServers(tmp_path, rollout_versions)
    try:
        stack.start()
        start(stack)
        with Load(stack.gateway_port, "ramp", 60.0, callers(100)) as load:
            wait_for(lambda: any(answer.version == str(EQUAL) for answer in load.answers))
            stack.second_config.write_text(stack.second_config.read_text().replace(f"versions: {EQUAL}", ""))
            plan = stack.wait_for_state("ramp", State.HOLDING, timeout_s=20)
            more = len(load.answers)
            wait_for(lambda: len(load.answers) > more + 120)
            recent = {answer.version for answer in load.answers[-60:]}
        assert plan.hold is Hold.NOT_LOADED
        assert str(stack.second_port) in plan.reason
        assert load.statuses == {200}
        assert recent == {str(STABLE)}
    finally:
        stack.stop()


class TwoServers(RolloutStack):
    """Two model servers behind one address, each with a file of its own; the gateway writes the first one's."""

    def __init__(self, folder: Path, versions: Path) -> None:
        super().__init__(folder, versions, ("ramp",))
        self.second_port = free_port()
        self.second_config = folder / "second.config"
        self.second: Process | None = None
        self.settings["serving_target"] = f"ipv4:127.0.0.1:{self.serving_port},127.0.0.1:{self.second_port}"

    def start_server(self) -> None:
        super().start_server()
        entry = f"model_version_policy {{ specific {{ versions: {STABLE} versions: {EQUAL} }} }}"
        self.second_config.write_text(
            self.config.read_text().replace("model_version_policy { specific { versions: 1 } }", entry)
        )
        flags = [f"--port={self.second_port}", f"--model_config_file={self.second_config}"]
        flags.append("--model_config_file_poll_wait_seconds=1")
        self.second = Process(self.folder / "second.log", ["model_server", *flags], {})

    def stop(self) -> None:
        super().stop()
        if self.second is not None:
            self.second.stop()
