"""Closed-loop load: wrk with one thread, every connection sending its next request when the answer to the last is there.

The requests are written to files, head and body, and a Lua script sends them in turn, each with an id and a bearer token of its
own, or with the next of some API keys (`request_headers`).
"""

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import BenchError
from benchmarks.load import request_headers

_TIMEOUT_S = 10
_GRACE_S = 60
# Of each request the first line and the rest; the headers of its own go between them.
_SCRIPT = """
local first_lines, rests, sent = {{}}, {{}}, 0
for i = 1, {count} do
  local file = assert(io.open("{folder}/" .. i .. ".http", "rb"))
  local text = file:read("*a")
  file:close()
  local _, last = text:find("\\r\\n", 1, true)
  first_lines[i], rests[i] = text:sub(1, last), text:sub(last + 1)
end
local function random_digits(bytes)
  local file = assert(io.open("/dev/urandom", "rb"))
  local drawn = file:read(bytes):gsub(".", function(byte) return string.format("%02x", byte:byte()) end)
  file:close()
  return drawn
end
local request_id = "{request_id}: " .. random_digits(8) .. "%016x\\r\\n"
local token = "{authorization}: Bearer %016x" .. random_digits(12) .. "\\r\\n"
local keys = {{{keys}}}
local function authorization()
  if #keys == 0 then return token:format(sent) end
  return "{authorization}: Bearer " .. keys[sent % #keys + 1] .. "\\r\\n"
end
request = function()
  local i = sent % {count} + 1
  sent = sent + 1
  return first_lines[i] .. request_id:format(sent) .. authorization() .. rests[i]
end
done = function(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '\\n{{"requests": %d, "duration_us": %d, "p50_us": %.1f, "p99_us": %.1f, "max_us": %.1f, "refused": %d, "broken": %d}}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
"""


@dataclass(frozen=True)
class Window:
    """What wrk saw. ``refused``: answers over 399. ``broken``: connections and answers that failed or came after 10 s."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    refused: int
    broken: int


def find() -> str:
    """The path of wrk. Raises BenchError, with how to get it, when it is missing."""
    path = shutil.which("wrk")
    if path is None:
        raise BenchError("wrk is not installed, and makes the load: apt-get install wrk (or brew install wrk)")
    return path


def write_script(folder: Path, requests: Sequence[bytes], keys: Sequence[str] = ()) -> Path:
    """Write the requests and the script that sends them in turn, each with the next of ``keys``; returns the script."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, request in enumerate(requests, 1):
        (folder / f"{number}.http").write_bytes(request)
    script = folder / "send.lua"
    text = _SCRIPT.format(
        folder=folder,
        count=len(requests),
        request_id=request_headers.REQUEST_ID,
        authorization=request_headers.AUTHORIZATION,
        keys=", ".join(f'"{key}"' for key in keys),
    )
    script.write_text(text, encoding="utf-8")
    return script


def load(port: int, script: Path, clients: int, seconds: int) -> Window:
    """Load the port for some seconds. Raises BenchError when wrk itself fails."""
    size = ["-t1", f"-c{clients}", f"-d{seconds}s", f"--timeout={_TIMEOUT_S}s"]
    command = [find(), *size, "-s", str(script), f"http://127.0.0.1:{port}/"]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=seconds + _GRACE_S, check=False)
    if finished.returncode != 0:
        raise BenchError(f"wrk failed with code {finished.returncode}: {finished.stderr.strip() or finished.stdout.strip()}")
    return _window(json.loads(finished.stdout.strip().splitlines()[-1]))


def _window(told: dict[str, float]) -> Window:
    return Window(
        requests=int(told["requests"]),
        seconds=told["duration_us"] / 1e6,
        p50_ms=told["p50_us"] / 1e3,
        p99_ms=told["p99_us"] / 1e3,
        max_ms=told["max_us"] / 1e3,
        refused=int(told["refused"]),
        broken=int(told["broken"]),
    )
