"""More than one model server behind the gateway, under load, in the order of this file. Then there is one again, as before."""

from collections.abc import Iterator

import pytest

from tests.compose.replicas import FOUND_S, MODEL, START_S, Replicas, is_shared_alike, load, shares
from tests.compose.stack import Stack
from tests.waiting import wait_for

pytestmark = [pytest.mark.compose, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def replicas(stack: Stack) -> Iterator[Replicas]:
    project = f"com.docker.compose.project={stack.project}"
    replicas = Replicas(stack, lambda service: (project, f"com.docker.compose.service={service}"))
    try:
        yield replicas
    finally:
        (stack.directory / ".env").unlink(missing_ok=True)
        stack.up()
        wait_for(lambda: len(replicas.healthy()) == 1 and stack.is_ready(), START_S, 0.2)


def test_three_servers_share_the_calls(stack, replicas):
    with load(stack.port) as clients:
        stack.up("--scale", "serving=3")
        wait_for(lambda: len(replicas.healthy()) == 3, START_S, 0.2)
        wait_for(lambda: is_shared_alike(replicas, clients, 3), FOUND_S)


def test_the_models_were_exported_once(stack, replicas):
    assert len(replicas.ids()) == 3
    assert len(stack.compose("ps", "--all", "--quiet", "export").split()) == 1


def test_the_gateway_is_ready_with_the_models_of_three_servers(stack, replicas):
    assert len(replicas.healthy()) == 3
    reply = stack.get("/readyz")
    assert reply.status_code == 200, reply.text
    assert {model["name"]: model["available"] for model in reply.json()["models"]}[MODEL] == ["1"]
    assert not lagging(stack)


def test_a_server_that_hangs_is_named_and_gets_no_calls_until_it_goes_on(stack, replicas, say):
    hung = sorted(replicas.healthy())[0]
    say("docker pause of one of three model servers")
    stack.docker("pause", hung)
    try:
        wait_for(lambda: lagging(stack), 30, 0.1)
        with load(stack.port) as clients:
            wait_for(lambda: all(len(client.answers) >= 50 for client in clients), 60)
        assert stack.is_ready()
    finally:
        stack.docker("unpause", hung)
    wait_for(lambda: not lagging(stack), START_S, 0.1)
    with load(stack.port) as clients:
        wait_for(lambda: is_shared_alike(replicas, clients, 3), FOUND_S)


def lagging(stack: Stack) -> list[dict[str, str]]:
    """The servers that lack something of the model, as /readyz names them."""
    [model] = [model for model in stack.get("/readyz").json()["models"] if model["name"] == MODEL]
    return model.get("lagging", [])


def test_a_server_that_is_taken_away_fails_no_request(stack, replicas):
    before = replicas.ids()
    with load(stack.port) as clients:
        stack.up("--scale", "serving=2")
        assert len(replicas.ids()) == 2
        assert replicas.ids() < before
        wait_for(lambda: is_shared_alike(replicas, clients, 2), 10)


def test_a_server_that_is_added_by_the_env_file_gets_its_share(stack, replicas):
    before = replicas.ids()
    assert len(before) == 2
    (stack.directory / ".env").write_text("SERVING_REPLICAS=3\n")
    with load(stack.port) as clients:
        stack.up()
        wait_for(lambda: len(replicas.healthy()) == 3, START_S, 0.2)
        [added] = replicas.healthy() - before
        wait_for(lambda: shares(replicas, clients).get(added, 0) >= 0.25, FOUND_S)
