"""The commands on a database in a folder, with a gateway's part played by the test."""

from functools import partial

import pytest
from click.testing import CliRunner

from gateway.rollout import changes
from gateway.rollout.commands.group import rollout
from gateway.rollout.commands.opening import Surroundings
from gateway.rollout.plan import Plan
from gateway.rollout.store.store import Store
from gateway.rollout.store.view import Report
from gateway.settings import settings_from_environment


class Desk:
    """Gives commands, and plays the gateway that follows: ``store`` is the database of both."""

    def __init__(self, folder) -> None:
        self.models: tuple[str, ...] | None = None
        self.environment = {"GATEWAY_STATE_DIR": str(folder)}
        self.store = Store(settings_from_environment(self.environment).state_database())

    def meanwhile(self) -> None:
        """What happens while a command waits."""
        raise AssertionError("nothing waits here")

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """The exit code, what is printed, and what is printed as an error."""
        settings = partial(settings_from_environment, self.environment)
        group = rollout(Surroundings(settings, lambda seconds: self.meanwhile(), lambda _: self.models))
        result = CliRunner().invoke(group, arguments)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.stdout, result.stderr

    def begin(self, model: str = "digits", *options: str) -> Plan:
        """A rollout of version 2 that a person has asked for."""
        code, _, told = self.run("start", model, "--canary", "2", "--no-watch", *options)
        assert code == 0, told
        return self.plan(model)

    def running(self, model: str = "digits", *options: str) -> Plan:
        """A rollout whose canary gets requests: the gateway has done all that comes before."""
        plan = self.begin(model, *options)
        plan = self.change(plan, changes.accepted(plan, {"stable": 1}, plan.created_us))
        plan = self.change(plan, changes.loaded(plan, plan.created_us))
        return self.change(plan, changes.warmed(plan, plan.created_us))

    def change(self, plan: Plan, change) -> Plan:
        assert self.store.change(plan, *change)
        return change[0]

    def follow(self, evidence=None, samples=()) -> None:
        """A worker is there, and follows each plan."""
        plans = self.store.sync(Report(boot="b", host="here", pid=1)).plans
        seen = {plan.id: plan.revision for plan in plans}
        self.store.sync(Report(boot="b", host="here", pid=1, seen=seen, evidence=evidence or {}, samples=samples))

    def plan(self, model: str = "digits") -> Plan:
        return self.store.newest(model)


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path)
    yield made
    made.store.close()
