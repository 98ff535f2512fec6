"""The replicas of the model server behind one gateway, and what each of them has answered, as their own metrics tell it."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from tests.compose.stack import Stack
from tests.compose.traffic import Traffic
from tests.waiting import wait_for

MODEL = "half_plus_two"
START_S: Final = 180
"""How long a replica may take to be healthy, beside others that start."""

FOUND_S: Final = 35
"""Within what time a healthy replica gets its share: ``grpc.max_connection_age_ms`` of docker-compose.yml, and 5 s."""

_CLIENTS = 2

_COUNT = re.compile(r":tensorflow:serving:request_count\{([^}]*)\} ([0-9.e+]+)")
# It runs in the gateway's container: the machine of the tests need not reach the network of the containers.
_ASK = """
import sys, urllib.request
for address in sys.argv[1:]:
    url = f"http://{address}:8501/monitoring/prometheus/metrics"
    print(repr(urllib.request.urlopen(url, timeout=5).read().decode()))
"""


class Replicas:
    """The running containers of the service ``serving`` by their ids, whoever started them.

    ``labels`` are the labels that the containers of a service have, of which there is a ``gateway`` too.
    """

    def __init__(self, stack: Stack, labels: Callable[[str], tuple[str, ...]]) -> None:
        self._stack = stack
        self._labels = labels

    def ids(self) -> set[str]:
        """The replicas that run, healthy or not."""
        return set(self._running("serving"))

    def healthy(self) -> set[str]:
        """The replicas that are healthy: they listen, and take calls."""
        return {identity for identity, one in self._described().items() if one["State"]["Health"]["Status"] == "healthy"}

    def calls(self, model: str) -> dict[str, int]:
        """How many calls for ``model`` each replica has answered since its start; the gateway joins requests into one call."""
        addresses = {identity: _address(one) for identity, one in self._described().items()}
        [gateway] = self._running("gateway")
        told = self._stack.docker("exec", gateway, "python", "-c", _ASK, *addresses.values()).splitlines()
        return {identity: _answered(text, model) for identity, text in zip(addresses, told, strict=True)}

    def _running(self, service: str) -> list[str]:
        filters = [f"--filter=label={label}" for label in self._labels(service)]
        return self._stack.docker("ps", "--quiet", "--no-trunc", *filters).split()

    def _described(self) -> dict[str, dict[str, Any]]:
        identities = self._running("serving")
        return dict(zip(identities, json.loads(self._stack.docker("inspect", *identities)), strict=True))


def _address(container: dict[str, Any]) -> str:
    [network] = container["NetworkSettings"]["Networks"].values()
    return str(network["IPAddress"])


def _answered(metrics: str, model: str) -> int:
    return sum(int(float(count)) for labels, count in _COUNT.findall(metrics) if f'model_name="{model}"' in labels)


@contextmanager
def load(port: int) -> Iterator[list[Traffic]]:
    """Some clients that never stop asking, once each of them has been answered. Every one of their requests must be."""
    with ExitStack() as asking:
        clients = [asking.enter_context(Traffic(port, MODEL)) for _ in range(_CLIENTS)]
        wait_for(lambda: all(client.answers for client in clients))
        yield clients
    assert [answer for client in clients for answer in client.answers if answer.status != 200] == []


def shares(replicas: Replicas, clients: list[Traffic]) -> dict[str, float]:
    """The part of the next calls that each of ``replicas`` answers; the sum is 1."""
    before, asked = replicas.calls(MODEL), [len(client.answers) for client in clients]
    wait_for(lambda: all(len(client.answers) >= start + 50 for client, start in zip(clients, asked, strict=True)), 60)
    after = replicas.calls(MODEL)
    answered = {identity: after[identity] - before.get(identity, 0) for identity in after}
    return {identity: number / sum(answered.values()) for identity, number in answered.items()}


def is_shared_alike(replicas: Replicas, clients: list[Traffic], count: int) -> bool:
    """Whether each of ``count`` replicas answers at least three quarters of an even share."""
    found = shares(replicas, clients)
    return len(found) == count and min(found.values()) >= 0.75 / count
