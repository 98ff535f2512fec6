"""The model server fails."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from gateway.backend.stubs import DataType
from tests.faults.fault import fault
from tests.faults.proxied import Proxied, proxied
from tests.faults.scene import TIMES, ModelServer, Scene, plain, started
from tests.gateway.fake_serving import FakeServing, Version, serving, signature
from tests.stack.checking_client import half_plus_two
from tests.waiting import wait_for

_FLOATS = signature({"x": (DataType.DT_FLOAT, [-1])}, {"y": (DataType.DT_FLOAT, [-1])})
_SIGNATURES = {"serving_default": _FLOATS}


_LARGE = 2**20


def _half_plus_two(inputs):
    return {"y": inputs["x"] / 2 + 2}


def _whole_or_all_but_the_last(numbers, version, predictions) -> bool:
    return half_plus_two(numbers, version, predictions) or half_plus_two(numbers[:-1], version, predictions)


def _half_plus_two_or_large(numbers, version, predictions) -> bool:
    is_large = len(predictions) == len(numbers) and all(isinstance(row, list) and len(row) == _LARGE for row in predictions)
    return is_large or half_plus_two(numbers, version, predictions)


class Faked(Scene):
    """The model server is one of the tests' own making, which answers what a fault wants."""

    fake: FakeServing

    def answer(self, run) -> None:
        self.fake.models["half_plus_two"] = {1: Version(run, _SIGNATURES)}


@contextmanager
def faked(server: ModelServer, folder: Path) -> Iterator[Faked]:
    fake = FakeServing()
    with serving(fake) as port:
        scene = Faked(server, folder, serving_target=f"127.0.0.1:{port}")
        scene.fake = fake
        scene.answer(_half_plus_two)
        with started(scene):
            yield scene


@fault("1", "The model server is killed, and started again", plain, must=(503,))
def killed(scene: Scene) -> Iterator[None]:
    scene.server.stop(signal.SIGKILL)
    yield
    scene.server.start()


@fault("2", "The model server is stopped: it accepts, and never answers", plain, gets=(503,), must=(504,))
def stopped(scene: Scene) -> Iterator[None]:
    scene.server.signal(signal.SIGSTOP)
    yield
    scene.server.signal(signal.SIGCONT)


@fault("5", "The model server is killed in the middle of batches", plain, must=(503,))
def killed_in_a_batch(scene: Scene) -> Iterator[None]:
    scene.server.signal(signal.SIGSTOP)
    time.sleep(0.2)  # calls that are sent now are in flight when it dies
    scene.server.stop(signal.SIGKILL)
    yield
    scene.server.start()


@fault("6", "The model server is restarted ten times", plain, must=(503,))
def restarted(scene: Scene) -> Iterator[None]:
    for _ in range(TIMES):
        scene.server.stop(signal.SIGTERM)
        scene.server.start()
        good = scene.client.tally.answered[200]
        wait_for(lambda good=good: scene.client.tally.answered[200] > good, 30)
    yield


@fault("3", "The model server is slow: every answer takes 0.5 s longer", proxied, gets=(503, 504))
def slow(scene: Proxied) -> Iterator[None]:
    scene.proxy.delay_s = 0.5
    yield
    scene.proxy.delay_s = 0.0


@fault("4a", "The model server answers garbage instead of gRPC", proxied, must=(503,))
def garbage(scene: Proxied) -> Iterator[None]:
    scene.proxy.garbage = b"\x00garbage\xff" * 100
    scene.proxy.cut()
    yield
    scene.proxy.garbage = b""


@fault(
    "4b",
    "The model server answers with too few rows",
    faked,
    is_right=_whole_or_all_but_the_last,
    remark="a lone call's answer is passed on, as a model may give other rows than it got; nobody gets another's row",
)
def too_few_rows(scene: Faked) -> Iterator[None]:
    scene.answer(lambda inputs: {"y": (inputs["x"] / 2 + 2)[:-1]})
    yield
    scene.answer(_half_plus_two)


@fault("4c", "The model server answers with a wrong dtype", faked, must=(500,))
def wrong_dtype(scene: Faked) -> Iterator[None]:
    scene.answer(lambda inputs: {"y": (inputs["x"] / 2 + 2).astype(np.int64)})
    yield
    scene.answer(_half_plus_two)


@fault(
    "4d",
    "The model server answers with 4 MiB for each row, more than gRPC takes by default",
    faked,
    gets=(503, 504),
    is_right=_half_plus_two_or_large,
    remark="they are passed on; a request that waits longer than the deadline gets 504",
)
def oversized(scene: Faked) -> Iterator[None]:
    scene.answer(lambda inputs: {"y": np.zeros((inputs["x"].shape[0], _LARGE), np.float32)})
    yield
    scene.answer(_half_plus_two)
