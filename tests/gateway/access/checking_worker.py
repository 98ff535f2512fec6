"""A worker under full load, as a process: it checks one key again and again on its event loop, until its input is closed.

Its arguments are the key file and the key. Whenever the outcome changes, it prints a JSON document on a line of its own:
``outcome`` (``let in``, or the reason of the refusal), and ``after_s``, the time of the last check with another outcome, in
seconds of ``time.monotonic``. The last line is the number of its checks.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

import uvloop

from gateway.access.authenticator import Authenticator
from gateway.access.key_set import KeySet
from gateway.errors import Unauthenticated
from gateway.telemetry import logs

_AT_ONCE = 200  # checks in one turn of the loop, as under overload


async def run(path: Path, text: str) -> None:
    keys = KeySet(path, lambda text: None)
    authenticator = Authenticator(keys.find, keys.note_use)
    keys.start()
    is_ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    checks, before, before_s = 0, "", time.monotonic()
    while not is_ended.done():
        for _ in range(_AT_ONCE):
            now_s = time.monotonic()
            outcome = check(authenticator, text)
            if outcome != before:
                print(json.dumps({"outcome": outcome, "after_s": before_s}), flush=True)
            before, before_s = outcome, now_s
        checks += _AT_ONCE
        await asyncio.sleep(0)
    keys.close()
    print(checks, flush=True)


def check(authenticator: Authenticator, text: str) -> str:
    try:
        authenticator.identify({"authorization": f"Bearer {text}"}, "")
    except Unauthenticated as refused:
        return refused.reason
    return "let in"


def main() -> None:
    logs.configure("INFO")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(Path(sys.argv[1]), sys.argv[2]))


if __name__ == "__main__":
    main()
