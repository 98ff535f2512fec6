"""What is between gateway and model server fails."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.programs.name_server import NAME, NameServer
from tests.faults.fault import fault
from tests.faults.proxied import Proxied, Proxy, proxied
from tests.faults.scene import ModelServer, Scene, started
from tests.waiting import wait_for

FIRST, SECOND, NOBODY = "127.0.0.1", "127.0.0.2", "127.0.0.3"


class Named(Scene):
    """The gateway has a name for the model server, and reaches it by way of two proxies, as if it were two servers."""

    names: NameServer
    first: Proxy
    second: Proxy


@contextmanager
def named(server: ModelServer, folder: Path) -> Iterator[Named]:
    with (
        NameServer(FIRST) as names,
        Proxy(server.port, FIRST) as first,
        Proxy(server.port, SECOND, first.port) as second,
    ):
        scene = Named(server, folder, serving_target=f"dns://127.0.0.1:{names.port}/{NAME}:{first.port}")
        scene.names, scene.first, scene.second = names, first, second
        with started(scene):
            yield scene


@fault("7", "The model server's address changes in DNS, and nobody listens at the old one", named, gets=(503,))
def address_changes(scene: Named) -> Iterator[None]:
    scene.names.addresses = (SECOND,)
    scene.first.close()
    yield
    scene.first.open()


@fault("8a", "DNS has no address for the model server, and its connection is lost", named, must=(503,))
def empty(scene: Named) -> Iterator[None]:
    yield from _lost(scene, addresses=())


@fault("8b", "DNS has a wrong address for the model server, and its connection is lost", named, must=(503,))
def wrong(scene: Named) -> Iterator[None]:
    yield from _lost(scene, addresses=(NOBODY,))


@fault("8c", "DNS answers SERVFAIL, and the model server's connection is lost", named, must=(503,))
def failing(scene: Named) -> Iterator[None]:
    yield from _lost(scene, fails=True)


@fault("8d", "DNS does not answer, and the model server's connection is lost", named, must=(503,), gets=(504,))
def silent(scene: Named) -> Iterator[None]:
    yield from _lost(scene, is_silent=True)


def _lost(scene: Named, **failure: object) -> Iterator[None]:
    """While DNS fails the server moves; it has its new address when DNS is right again."""
    for name, value in failure.items():
        setattr(scene.names, name, value)
    scene.first.close()
    scene.second.close()
    yield
    scene.first.open()
    scene.second.open()
    scene.names.addresses, scene.names.fails, scene.names.is_silent = (FIRST,), False, False


@fault("9a", "Of two model servers one dies", named, gets=(503,))
def one_dies(scene: Named) -> Iterator[None]:
    _have_two(scene)
    scene.second.close()
    yield
    scene.second.open()


@fault("9b", "Of two model servers one hangs", named, must=(504,), gets=(503,), remark="the gateway leaves it out by itself")
def one_hangs(scene: Named) -> Iterator[None]:
    _have_two(scene)
    scene.second.is_stuck = True
    wait_for(lambda: scene.client.tally.answered[504], 20)
    # Its connection is given up, and calls only go to the other one.
    wait_for(lambda: scene.client.tally.good_in_a_row > 500, 30)
    yield
    scene.second.is_stuck = False


def _have_two(scene: Named) -> None:
    """Wait until calls go to both."""
    scene.names.addresses = (FIRST, SECOND)
    # A name is only resolved again after a connection was lost.
    scene.first.cut()
    wait_for(lambda: scene.first.connections and scene.second.connections, 20)


@fault("10", "The model server's connection is reset in the middle of an answer", proxied, gets=(503,))
def reset(scene: Proxied) -> Iterator[None]:
    for cut_after in (1, 20, 60, 100):
        scene.proxy.cut_after = cut_after
        wait_for(lambda: scene.proxy.cut_after is None, 20)
        good = scene.client.tally.answered[200]
        wait_for(lambda good=good: scene.client.tally.answered[200] > good + 20, 20)
    yield
