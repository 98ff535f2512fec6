"""Tests on an event loop: coroutines as plain test functions, and waiting for a condition without guessing."""

import asyncio
import functools
import time


def on_loop(test):
    """A plain function that runs the coroutine function ``test`` on an event loop of its own."""

    @functools.wraps(test)
    def run(*arguments, **named):
        asyncio.run(test(*arguments, **named))

    return run


async def until(condition, timeout_s=20.0):
    """Return when ``condition`` is true; AssertionError when that is not in time."""
    until_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until_s, f"not within {timeout_s} s: {condition}"
        await asyncio.sleep(0)


async def turns(count):
    """Let the loop turn ``count`` times."""
    for _ in range(count):
        await asyncio.sleep(0)
