"""What the check of an API key costs, in this process alone: ``python -m benchmarks.key_check``.

The outcomes are measured in turn, so that whatever else the machine does slows each of them. An unknown id and a wrong secret
should not differ; ``tests/gateway/access/test_authenticator.py`` holds that both make the same calls.
"""

import statistics
import tempfile
import time
import timeit
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import click

from gateway.access import key_file, key_text
from gateway.access.authenticator import Authenticator
from gateway.access.key import EVERY_MODEL, Key
from gateway.access.key_set import KeySet
from gateway.access.key_text import NewKey
from gateway.errors import GatewayError
from gateway.telemetry import logs

Cases = Mapping[str, Mapping[str, str]]


@click.command()
@click.option("--checks", default=50_000, show_default=True, help="How many of each outcome.")
@click.option("--keys", default=1000, show_default=True, help="How many keys there are.")
def main(checks: int, keys: int) -> None:
    """Print the median time of a check for each outcome, and the mean processor time of one that lets in."""
    logs.configure("WARNING")
    authenticator, cases = _prepared(keys)
    seconds: dict[str, list[int]] = {outcome: [] for outcome in cases}
    for _ in range(checks):
        for outcome, headers in cases.items():
            seconds[outcome].append(_measured_ns(authenticator, headers))
    for outcome, times in seconds.items():
        click.echo(f"{outcome:14} median {statistics.median(times) / 1000:5.2f} us, the clock's own time included")
    identify, headers = authenticator.identify, cases["let in"]
    least_s = min(timeit.repeat(lambda: identify(headers, ""), timer=time.process_time, number=checks, repeat=5))
    click.echo(f"{'let in':14} timeit {least_s / checks * 1e6:5.2f} us of processor time")


def _prepared(keys: int) -> tuple[Authenticator, Cases]:
    made = [key_text.new() for _ in range(keys + 1)]
    *known, unknown = made
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "keys.jsonl"
        key_file.change(path, lambda _: None, lambda _: [_key(new) for new in known])
        found = KeySet(path, lambda _: None)
        found.look()
    texts = {"let in": known[0].text, "unknown id": unknown.text, "wrong secret": _with_id(unknown, known[0].id)}
    cases = {outcome: {"host": "127.0.0.1", "authorization": f"Bearer {text}"} for outcome, text in texts.items()}
    cases |= {"malformed": {"x-api-key": unknown.text[:-1]}, "missing": {"host": "127.0.0.1"}}
    return Authenticator(found.find, found.note_use), cases


def _key(new: NewKey) -> Key:
    return Key(id=new.id, name=new.id, sha256=new.sha256, scopes=("predict",), models=EVERY_MODEL, created=datetime.now(UTC))


def _with_id(new: NewKey, key_id: str) -> str:
    """A key's text with another's id and a right checksum."""
    body = f"{key_text.PREFIX}{key_id}_{new.text[13:43]}"
    return body + key_text.checksum(body)


def _measured_ns(authenticator: Authenticator, headers: Mapping[str, str]) -> int:
    start_ns = time.perf_counter_ns()
    with suppress(GatewayError):
        authenticator.identify(headers, "")
    return time.perf_counter_ns() - start_ns


if __name__ == "__main__":
    main()
