"""Several fakes of a model server, and a DNS of the tests' own that says where they are."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random

import numpy as np

from gateway.backend.replies import signature_from_proto
from gateway.backend.servers.balanced import Balanced
from gateway.backend.servers.servers import Servers
from gateway.backend.servers.target import parse_target
from gateway.deadline import Deadline
from gateway.inference.signature import ModelRef, Prediction
from tests.event_loop import until
from tests.gateway.fake_serving import FLOATS, FakeServing, serving

SIGNATURE = signature_from_proto("serving_default", FLOATS)
MODEL = ModelRef("m")


class Group:
    """Fakes by number, ``servers`` of the name that ``dns`` answers for, and ``calls`` of them."""

    def __init__(self, fakes: Sequence[FakeServing], balancing: str = "round_robin", **given) -> None:
        self.fakes = fakes
        self.dns: list[str] | Exception = []
        self.servers = Servers(
            parse_target("serving:8500"), None, balancing, resolve=self._resolve, every_s=0.02, random=Random(3), **given
        )
        self.calls = Balanced(self.servers)

    def _resolve(self, host: str, port: int) -> list[str]:
        if isinstance(self.dns, Exception):
            raise self.dns
        return self.dns

    def address(self, number: int) -> str:
        return f"127.0.0.1:{self.fakes[number].port}"

    def name(self, *numbers: int) -> None:
        """The name has the addresses of these fakes from now on."""
        self.dns = [self.address(number) for number in numbers]

    async def predict(self, rows: int = 1, within_s: float = 5.0, model: ModelRef = MODEL) -> Prediction:
        inputs = {"x": np.zeros((rows, 2), np.float32)}
        return await self.calls.predict(model, SIGNATURE, inputs, (), Deadline.after(within_s))

    async def status(self):
        return await self.calls.status(MODEL, Deadline.after(5))

    async def joined(self, *numbers: int) -> None:
        """Wait until exactly these are in rotation for the model. It asks for its status, as the catalog does."""

        async def is_so() -> bool:
            await self.status()
            well = {server.address for server in self.servers.members if self.servers.is_well(server) and server.has(MODEL)}
            return well == {self.address(number) for number in numbers}

        await until(is_so)

    async def answered(self) -> None:
        """Wait until no call is under way, so that the next question is not one that was put before something changed."""
        await until(lambda: not any(server.in_flight for server in self.servers.members))
        await asyncio.sleep(0)  # a task ends a step after its call

    def predicted(self) -> list[int]:
        """How many Predict calls each fake has had."""
        return [fake.calls.count("Predict") for fake in self.fakes]


@asynccontextmanager
async def group_of(count: int, *numbers: int, **given) -> AsyncIterator[Group]:
    """``count`` fakes, of which the name has ``numbers`` (none: all), once these are in rotation."""
    async with AsyncExitStack() as stack:
        fakes = [FakeServing() for _ in range(count)]
        for fake in fakes:
            fake.port = stack.enter_context(serving(fake))
        group = Group(fakes, **given)
        numbers = numbers or tuple(range(count))
        group.name(*numbers)
        group.servers.start()
        stack.push_async_callback(group.servers.close)
        await group.servers.first_answer()
        await until(lambda: all(server.is_connected for server in group.servers.members))
        await group.joined(*numbers)
        yield group


async def predict_many(group: Group, count: int, at_once: int = 8) -> list[Prediction | BaseException]:
    """What came of so many calls, so many at a time."""
    places = asyncio.Semaphore(at_once)

    async def one() -> Prediction:
        async with places:
            return await group.predict()

    return await asyncio.gather(*(one() for _ in range(count)), return_exceptions=True)
