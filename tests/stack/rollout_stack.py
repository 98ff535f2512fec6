"""A stack whose models have the versions of `rollout_models`, and how rollouts of them are ordered and looked at."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from gateway.rollout.plan import Event, Plan, State
from gateway.rollout.store.store import Store
from tests.stack.conftest import ROOT, Stack
from tests.stack.rollout_load import Answered, Asked
from tests.stack.rollout_versions import FAILING, REFUSED, STABLE
from tests.waiting import wait_for

PINNED = f"model_version_policy {{ specific {{ versions: {STABLE} }} }}"
# What a rollout may take at the most here, where every window is 10 s long and the machine may be busy.
ENDS_WITHIN_S = 180.0


class RolloutStack(Stack):
    """Each of ``names`` is a model with all versions, of which the server has loaded ``STABLE``."""

    def __init__(self, folder: Path, versions: Path, names: tuple[str, ...], database: str = "", **settings: object) -> None:
        models_dir = folder / "models"
        models_dir.mkdir(exist_ok=True)
        for name in names:
            (models_dir / name).symlink_to(versions)
        (folder / "state").mkdir(exist_ok=True)
        super().__init__(folder, models_dir, names, **{"state_dir": folder / "state", "catalog_poll_ms": 500} | settings)
        self.gateway_environment = {"DATABASE_URL": database, "GATEWAY_PREDICTION_LOG": "off"} if database else {}
        self.store = Store(database or f"sqlite:///{folder / 'state' / 'state.db'}")

    def write_config(self, names: tuple[str, ...], policy: str = PINNED) -> None:
        super().write_config(names, policy)

    def rollout(self, *arguments: str) -> str:
        """Run `python -m gateway rollout` with ``arguments``; what it prints. It must succeed."""
        done = self.try_rollout(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def try_rollout(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        environment = {"GATEWAY_STATE_DIR": str(self.settings["state_dir"])} | self.gateway_environment
        command = [sys.executable, "-m", "gateway", "rollout", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False
        )

    def plan(self, model: str) -> Plan:
        """The newest plan of ``model``."""
        plan = self.store.newest(model)
        assert plan is not None
        return plan

    def wait_for_state(self, model: str, *states: State, timeout_s: float = ENDS_WITHIN_S) -> Plan:
        """The newest plan of ``model``, once its state is one of ``states``."""

        def found() -> Plan | None:
            plan = self.plan(model)
            return plan if plan.state in states else None

        try:
            return wait_for(found, timeout_s, 0.1)
        except AssertionError:
            raise AssertionError(f"{self.plan(model)}\n{self.try_rollout('explain', model).stdout}") from None

    def events(self, model: str) -> list[Event]:
        """What happened to ``model``, oldest first."""
        return list(reversed(self.store.history(model, 1000)))

    def stop(self) -> None:
        super().stop()
        self.store.close()


def callers(users: int, seed: int = 7, bad: float = 0.0) -> Callable[[int], Asked]:
    """Requests of so many callers with random rows, of which a share of ``bad`` is refused, or failed at, by every version."""
    chance = random.Random(seed)

    def asked(number: int) -> Asked:
        first = float(chance.randrange(100))
        if chance.random() < bad:
            first = chance.choice((REFUSED, FAILING))
        return Asked(f"user-{chance.randrange(users)}", (first, float(chance.randrange(100))))

    return asked


def right(answer: Answered, off_by: float = 0.0) -> bool:
    """Whether an answer is that of its row, which a version may miss by ``off_by``."""
    expected = [2.0 * answer.asked.row[0] + 1.0, 2.0 * answer.asked.row[1] + 3.0]
    given = answer.body["predictions"][0] if isinstance(answer.body, dict) and "predictions" in answer.body else None
    return given is not None and all(abs(a - b) <= off_by + 1e-6 * abs(a) for a, b in zip(expected, given, strict=True))


def as_json(text: str) -> dict:
    """What a command has printed."""
    return json.loads(text)
