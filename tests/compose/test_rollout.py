"""A version is published as a rollout, promoted and taken back, in the order of this file. Then the stack is as before."""

import json
from collections.abc import Iterator

import pytest

from tests.compose.stack import CommandError, Stack
from tests.compose.traffic import HALF_PLUS_TWO, Traffic
from tests.waiting import wait_for

pytestmark = [pytest.mark.compose, pytest.mark.timeout(600)]

MODEL = "rolled"
"""A model of its own, since numbers of versions are never used again and the other tests know those of half_plus_two."""

PUBLISH = ("publish", "/models/half_plus_two/1", "--name", MODEL)
CANARY = (*PUBLISH, "--rollout", "--canary-steps", "50%:1h", "--keep-old", "1h")
_END = " }\n}\n"
ENTRY = f'  # Ours.\n  config {{ name: "{MODEL}" base_path: "/models/{MODEL}" model_platform: "tensorflow"{_END}'
SETTINGS = "GATEWAY_KEYS_FILE=/keys/keys.jsonl\n"
GATEWAY_USER = 1000
NOBODY = 65534


class Rolling:
    """The stack with keys and a model of one version; its models.config has lines of somebody's own."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.config = stack.directory / "serving_config" / "models.config"
        self.before = self.config.read_text()
        self.text = self.before.rstrip().removesuffix("}") + ENTRY
        self.owner = self.config.stat().st_uid
        self.key = ""

    def set_up(self) -> None:
        self.stack.run("export", *PUBLISH)
        self.config.write_text(self.text)
        self._restart(SETTINGS)
        self.key = self.stack.run("keys", "new", "caller")
        admin = self.stack.run("keys", "new", "ops", "--scope", "admin")
        (self.stack.directory / ".env").write_text(f"{SETTINGS}GATEWAY_KEY={admin}\n")
        wait_for(lambda: self.versions() == ["1"] and self.version() == 1, 60, 0.2)

    def put_back(self) -> None:
        self.give_to(self.owner)
        self.config.write_text(self.before)
        (self.stack.directory / ".env").unlink()
        self._restart("")
        wait_for(lambda: not self.versions(), 60, 0.2)

    def _restart(self, settings: str) -> None:
        (self.stack.directory / ".env").write_text(settings)
        self.stack.up()
        wait_for(self.stack.is_ready, 60, 0.2)

    def give_to(self, user: int) -> None:
        """What ``sudo chown`` does, for whoever runs the tests."""
        mount = f"{self.config.parent}:/given"
        chown = ("--user", "root", "--entrypoint", "chown", self.stack.project, str(user), "/given", "/given/models.config")
        self.stack.docker("run", "--rm", "--volume", mount, *chown)

    def version(self) -> int:
        """The version that answers a request."""
        reply = self.stack.post(f"/v1/models/{MODEL}:predict", HALF_PLUS_TWO, self.key)
        return int(reply.headers["X-Model-Version"]) if reply.status_code == 200 else 0

    def versions(self) -> list[str]:
        """The versions that the model server has loaded."""
        statuses = self.stack.get(f"/v1/models/{MODEL}", self.key).json().get("model_version_status", ())
        return sorted(status["version"] for status in statuses if status["state"] == "AVAILABLE")

    def state(self) -> str:
        """Where the newest rollout stands."""
        [plan] = json.loads(self.stack.run("rollout", "status", MODEL, "--json"))
        return str(plan["state"])

    def pinned(self, *versions: int) -> str:
        """What the model config file should be while it names ``versions``."""
        named = " ".join(f"versions: {version}" for version in versions)
        policy = f"model_version_policy {{ specific {{ {named} }} }}"
        return self.text.removesuffix(_END) + f" {policy}{_END}"

    def traffic(self) -> Traffic:
        return Traffic(self.stack.port, MODEL, self.key)


@pytest.fixture(scope="module")
def rolling(stack: Stack) -> Iterator[Rolling]:
    rolling = Rolling(stack)
    try:
        rolling.set_up()
        yield rolling
    finally:
        rolling.put_back()


def assert_all_were_answered(traffic: Traffic) -> None:
    assert len(traffic.answers) >= 50
    assert [answer for answer in traffic.answers if answer.status != 200] == []


def versions_of_next(traffic: Traffic, count: int) -> set[str]:
    """The versions that give the next answers."""
    start = len(traffic.answers)
    wait_for(lambda: len(traffic.answers) >= start + count, 60)
    return {answer.version for answer in traffic.answers[start : start + count]}


def test_without_a_key_a_publication_says_what_is_missing_and_publishes_nothing(rolling):
    with pytest.raises(CommandError, match="GATEWAY_KEY is not set: put a key with the scope admin there"):
        rolling.stack.compose("run", "--rm", "-T", "--env", "GATEWAY_KEY=", "export", *CANARY)
    assert rolling.versions() == ["1"]


def test_in_a_folder_that_the_gateway_cannot_write_it_says_whose_it_must_be_and_publishes_nothing(rolling):
    rolling.give_to(NOBODY)
    with pytest.raises(CommandError) as refused:
        rolling.stack.run("export", *CANARY)
    message = " ".join(str(refused.value).split())
    assert f"Permission denied: user {GATEWAY_USER} must own it, and be able to write its folder" in message
    assert f"write into the entry of model {MODEL}: model_version_policy {{ specific {{ versions: 1 }} }}" in message
    assert rolling.config.read_text() == rolling.text
    assert "version=2" not in message


def test_a_publication_is_a_rollout_that_a_part_of_the_callers_sees(rolling, say):
    rolling.give_to(GATEWAY_USER)
    with rolling.traffic() as traffic:
        wait_for(lambda: traffic.last.version == "1")
        say(f"publishing version 2 of {MODEL} as a rollout under load")
        printed = rolling.stack.run("export", *CANARY)
        assert f"rollout model={MODEL} id={MODEL}-2-" in printed
        assert "state=running stable=1 canary=2" in printed
        assert versions_of_next(traffic, 200) == {"1", "2"}
    assert_all_were_answered(traffic)
    assert rolling.config.read_text() == rolling.pinned(1, 2)


def test_the_command_shows_where_it_stands(rolling):
    head, *lines = rolling.stack.run("rollout", "status").splitlines()
    assert head.startswith(f"{MODEL}: version 2 beside 1, running for ")
    assert head.endswith("step 1 of 1 at 50 % of the requests")
    assert lines[-1] == "  orders: step, weight, pause, promote, abort"


def test_a_version_that_a_rollout_needs_is_not_taken_away(rolling):
    with pytest.raises(CommandError, match=f"end it first: `python -m gateway rollout abort {MODEL}`"):
        rolling.stack.run("export", "rollback", MODEL)


def test_it_goes_on_after_a_restart_of_the_gateway(rolling, say):
    say("docker compose restart gateway")
    before = rolling.stack.run("rollout", "history", MODEL)
    rolling.stack.compose("restart", "gateway")
    wait_for(rolling.stack.is_ready, 60, 0.2)
    with rolling.traffic() as traffic:
        wait_for(lambda: versions_of_next(traffic, 50) == {"1", "2"}, 30)
    assert_all_were_answered(traffic)
    assert rolling.stack.run("rollout", "history", MODEL) == before
    assert rolling.state() == "running"


def test_it_is_promoted_undone_and_cleaned_up_without_a_failed_request(rolling, say):
    with rolling.traffic() as traffic:
        say("promoting version 2, and undoing it")
        rolling.stack.run("rollout", "promote", MODEL)
        wait_for(lambda: versions_of_next(traffic, 50) == {"2"}, 30)
        wait_for(lambda: rolling.state() == "bake_after", 30, 0.5)
        rolling.stack.run("rollout", "undo", MODEL)
        wait_for(lambda: versions_of_next(traffic, 50) == {"1"}, 30)
        wait_for(lambda: rolling.state() == "rolled_back", 30, 0.5)
        assert rolling.versions() == ["1", "2"]
        rolling.stack.run("rollout", "clean", MODEL)
        wait_for(lambda: rolling.versions() == ["1"], 60, 0.2)
        assert versions_of_next(traffic, 50) == {"1"}
    assert_all_were_answered(traffic)
    assert rolling.config.read_text() == rolling.pinned(1)


def test_a_version_that_was_undone_is_rolled_out_again_by_the_command_and_aborted(rolling, say):
    say("rolling version 2 out again, and aborting it")
    start = ("start", MODEL, "--canary", "2", "--steps", "50%:1h", "--no-watch")
    with rolling.traffic() as traffic:
        rolling.stack.run("rollout", *start)
        wait_for(lambda: rolling.state() == "refused", 30, 0.5)
        assert "was taken back on" in rolling.stack.run("rollout", "explain", MODEL)
        rolling.stack.run("rollout", *start, "--again")
        wait_for(lambda: versions_of_next(traffic, 50) == {"1", "2"}, 60)
        rolling.stack.run("rollout", "abort", MODEL, "--note", "not today")
        wait_for(lambda: versions_of_next(traffic, 50) == {"1"}, 30)
        assert "not today" in rolling.stack.run("rollout", "history", MODEL)
        rolling.stack.run("rollout", "clean", MODEL)
        wait_for(lambda: rolling.versions() == ["1"], 60, 0.2)
    assert_all_were_answered(traffic)


def test_where_the_gateway_cannot_write_a_rollout_waits_until_somebody_has_written_what_it_says(rolling, say):
    say("rolling version 2 out where the gateway cannot write the file")
    rolling.give_to(NOBODY)
    rolling.stack.run("rollout", "start", MODEL, "--canary", "2", "--steps", "50%:1h", "--no-watch", "--again")
    entry = f"write into the entry of model {MODEL}: model_version_policy {{ specific {{ versions: 1 versions: 2 }} }}"
    wait_for(lambda: entry in rolling.stack.run("rollout", "status", MODEL), 30, 0.5)
    assert rolling.state() == "loading"
    rolling.give_to(rolling.owner)
    rolling.config.write_text(rolling.pinned(1, 2))
    wait_for(lambda: rolling.state() == "running", 60, 0.5)
    rolling.give_to(GATEWAY_USER)
    rolling.stack.run("rollout", "abort", MODEL)
    rolling.stack.run("rollout", "clean", MODEL)
    wait_for(lambda: rolling.versions() == ["1"], 60, 0.2)


def test_no_key_is_in_what_the_commands_and_the_containers_write(rolling):
    written = rolling.stack.logs() + rolling.stack.run("rollout", "history", MODEL)
    admin = (rolling.stack.directory / ".env").read_text().partition("GATEWAY_KEY=")[2].strip()
    for secret in (rolling.key, admin):
        assert secret not in written
