"""Orders of a person: promote and undo under load, two gateways on one database, explicit versions, and what is refused."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from gateway.rollout.plan import WHOLE, State
from tests.stack.conftest import Process
from tests.stack.rollout_load import Load
from tests.stack.rollout_stack import RolloutStack, as_json, callers, right
from tests.stack.rollout_versions import EQUAL, FAILS, STABLE
from tests.waiting import free_port, wait_for

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

CLIENTS = 64
FOLLOWED_S = 2.0
ROW = {"instances": [[50.0, 1.0]]}


@pytest.fixture
def stack(tmp_path, rollout_versions):
    """A stack with one model, and a second gateway on the same database."""
    running = RolloutStack(tmp_path, rollout_versions, ("ramp",))
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture
def second_gateway(stack):
    """The port of another gateway that follows the same plans."""
    first, port = stack.gateway, free_port()
    stack.gateway_port, before = port, stack.gateway_port
    stack.start_gateway()
    wait_for(lambda: answers(port), 60)
    second, stack.gateway, stack.gateway_port = stack.gateway, first, before
    assert isinstance(second, Process)
    yield port
    second.stop()


def answers(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200
    except requests.ConnectionError:
        return False


def start(stack: RolloutStack, *options: str) -> None:
    """Have the equal version run at 10 % until somebody says otherwise."""
    stack.rollout("start", "ramp", "--canary", str(EQUAL), "--steps", "10%:manual", *options, "--no-watch")
    stack.wait_for_state("ramp", State.RUNNING, State.HOLDING)


def test_promote_and_undo_under_64_clients_fail_no_request_and_take_two_seconds(stack):
    start(stack, "--low-traffic")
    is_over, answers = threading.Event(), []

    def client() -> None:
        while not is_over.is_set():
            response = stack.post("/v1/models/ramp:predict", ROW)
            answers.append((time.monotonic(), response.status_code, response.headers.get("X-Model-Version")))

    def all_by(version: int, since_s: float) -> bool:
        """Whether everything that was answered in the last half second was answered by ``version``."""
        recent = [one for one in answers[-5000:] if one[0] > time.monotonic() - 0.5]
        return time.monotonic() > since_s + 0.5 and bool(recent) and all(one[2] == str(version) for one in recent)

    with ThreadPoolExecutor(CLIENTS) as pool:
        for _ in range(CLIENTS):
            pool.submit(client)
        try:
            wait_for(lambda: len(answers) > 500)
            for order, version in (("promote", EQUAL), ("undo", STABLE)):
                stack.rollout(order, "ramp")
                ordered_s = time.monotonic()
                wait_for(lambda version=version, since_s=ordered_s: all_by(version, since_s), 15)
                # When the order was given is known to the command only; it had written it before it ended.
                late = [at_s for at_s, _, by in answers if at_s > ordered_s + FOLLOWED_S and by != str(version)]
                assert late == []
        finally:
            is_over.set()
    assert {status for _, status, _ in answers} == {200}
    stack.wait_for_state("ramp", State.ROLLED_BACK)


def test_two_gateways_follow_one_plan_and_one_of_them_decides(stack, second_gateway):
    with Load(stack.gateway_port, "ramp", 40.0, callers(100)) as one, Load(second_gateway, "ramp", 40.0, callers(100)) as two:
        stack.rollout("start", "ramp", "--canary", str(FAILS), "--steps", "20%:10m", "--no-watch")
        stack.wait_for_state("ramp", State.ROLLED_BACK)
    assert one.statuses == two.statuses == {200}
    assert all(right(answer) for answer in (*one.answers, *two.answers))
    assert [event.what for event in stack.events("ramp")].count("rollback") == 1
    assert any(answer.headers.get("x-rollout") for answer in two.answers), "the second gateway sent nobody to the canary"


def test_explicit_versions_and_labels_are_not_routed(stack):
    start(stack)
    for version in (STABLE, EQUAL):
        for _ in range(10):
            response = stack.post(f"/v1/models/ramp/versions/{version}:predict", ROW)
            assert response.headers["X-Model-Version"] == str(version)


def test_pause_resume_and_abort(stack):
    start(stack)
    stack.rollout("pause", "ramp")
    assert stack.plan("ramp").state is State.PAUSED
    assert stack.plan("ramp").canary_weight == WHOLE // 10
    stack.rollout("resume", "ramp")
    assert stack.plan("ramp").state is State.RUNNING
    stack.rollout("abort", "ramp", "--note", "seen enough")
    plan = stack.plan("ramp")
    assert plan.state is State.ABORTED
    assert "seen enough" in stack.rollout("history", "ramp")
    wait_for(
        lambda: {stack.post("/v1/models/ramp:predict", ROW).headers["X-Model-Version"] for _ in range(30)} == {str(STABLE)}
    )
    stack.rollout("clean", "ramp")
    wait_for(lambda: not stack.plan("ramp").is_open, 30)
    assert f"versions: {EQUAL}" not in stack.config.read_text()


def test_an_order_that_does_not_fit_says_what_does(stack):
    start(stack)
    for order, expected in (("undo", "promote"), ("resume", "running")):
        refused = stack.try_rollout(order, "ramp")
        assert refused.returncode != 0
        assert expected in refused.stderr
    again = stack.try_rollout("start", "ramp", "--canary", str(FAILS), "--no-watch")
    assert again.returncode != 0
    assert "abort" in again.stderr


def test_without_requests_a_rollout_holds_and_never_ends(stack):
    stack.rollout("start", "ramp", "--canary", str(EQUAL), "--steps", "10%:1s", "--no-watch")
    plan = stack.wait_for_state("ramp", State.HOLDING)
    assert (plan.hold, plan.weight) == ("no_data", WHOLE // 10)


def test_the_status_as_json_has_the_plan(stack):
    start(stack)
    status = as_json(stack.rollout("status", "ramp", "--json"))
    assert json.dumps(status).count('"ramp"')


def test_a_version_that_cannot_be_loaded_is_refused_in_the_servers_words(stack):
    shown = stack.try_rollout("start", "ramp", "--canary", "99")
    assert shown.returncode == 1
    assert "refused" in shown.stdout
    assert "99" in stack.plan("ramp").reason
    assert stack.post("/v1/models/ramp:predict", ROW).headers["X-Model-Version"] == str(STABLE)
    wait_for(lambda: "99" not in stack.config.read_text(), 15)


def is_followed(stack: RolloutStack) -> bool:
    """Whether every worker follows the newest revision."""
    plan = stack.plan("ramp")
    return all(worker.seen.get(plan.id) == plan.revision for worker in stack.store.workers().values())


def test_a_weight_is_what_part_of_the_requests_the_new_version_gets(stack):
    start(stack)
    for weight, least, most in (("75.25%", 0.6, 0.9), ("5%", 0.0, 0.2)):
        stack.rollout("weight", "ramp", weight, "--note", "it is Friday")
        wait_for(lambda: is_followed(stack))
        versions = [stack.post("/v1/models/ramp:predict", ROW).headers["X-Model-Version"] for _ in range(200)]
        assert least <= versions.count(str(EQUAL)) / len(versions) <= most
    assert [step.weight for step in stack.plan("ramp").steps] == [100_000, 752_500, 50_000]
    assert [event.what for event in stack.events("ramp")][-2:] == ["weight", "weight"]
