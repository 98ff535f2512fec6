"""The stack of deploy/swarm/stack.yml in a swarm of one node, beside that of compose, whose models it serves."""

from collections.abc import Iterator

import pytest
import requests

from tests.compose.replicas import FOUND_S, START_S, is_shared_alike, load
from tests.compose.stack import Stack
from tests.compose.swarm import NoSwarmError, SwarmStack, swarm
from tests.compose.traffic import HALF_PLUS_TWO
from tests.waiting import wait_for

pytestmark = [pytest.mark.compose, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def swarmed(request: pytest.FixtureRequest, stack: Stack, say) -> Iterator[SwarmStack]:
    swarmed = SwarmStack(stack, f"{stack.project}_models")
    try:
        with swarm(stack):
            say("docker stack deploy, in a swarm of one node")
            try:
                swarmed.deploy()
                wait_for(lambda: is_ready(swarmed), START_S, 0.2)
                yield swarmed
            finally:
                if request.session.testsfailed:
                    say(swarmed.logs())
                swarmed.remove()
    except NoSwarmError as error:
        pytest.skip(f"the engine cannot be a swarm: {error}")


def is_ready(swarmed: SwarmStack) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{swarmed.port}/readyz", timeout=10).status_code == 200
    except requests.ConnectionError:
        return False


def test_the_swarms_gateway_answers_at_a_port_of_its_node(swarmed):
    reply = requests.post(f"http://127.0.0.1:{swarmed.port}/v1/models/half_plus_two:predict", json=HALF_PLUS_TWO, timeout=10)
    assert (reply.status_code, reply.json()) == (200, {"predictions": [2.5, 3.0, 4.5]})


def test_a_server_is_added_and_taken_away_without_a_failed_request(swarmed, say):
    with load(swarmed.port) as clients:
        say("docker service scale serving=2 under load, and serving=1")
        swarmed.scale(2)
        wait_for(lambda: len(swarmed.replicas.healthy()) == 2, START_S, 0.2)
        wait_for(lambda: is_shared_alike(swarmed.replicas, clients, 2), FOUND_S)
        swarmed.scale(1)
        wait_for(lambda: len(swarmed.replicas.ids()) == 1, START_S, 0.2)
        wait_for(lambda: is_shared_alike(swarmed.replicas, clients, 1), FOUND_S)
