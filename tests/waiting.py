"""Waiting for a condition, with a bound and without guessing."""

import socket
import time
from collections.abc import Callable
from typing import TypeVar

from gateway.hub import Hub

Value = TypeVar("Value")


def wait_for(condition: Callable[[], Value], timeout_s: float = 20.0, interval_s: float = 0.02) -> Value:
    """The first true value of ``condition``; AssertionError when none comes in time."""
    until_s = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until_s:
            raise AssertionError(f"not within {timeout_s} s: {condition}")
        time.sleep(interval_s)


def run_until(hub: Hub, is_done: Callable[[], object], timeout_s: float = 10.0) -> None:
    """As ``wait_for``, while the hub's loop turns as the worker turns it, but asleep in a plain sleep."""
    until_s = time.monotonic() + timeout_s
    while not is_done():
        assert time.monotonic() < until_s
        hub.run_due()
        time.sleep(min(hub.fall_asleep(0.005), 0.005))
        hub.wake_up()
        hub.run_due()
        hub.run_idle()


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
