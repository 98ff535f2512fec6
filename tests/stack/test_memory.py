"""What clients who mean harm can make a worker take: the most that README.md says of its memory."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytestmark = pytest.mark.stack

BODY_BYTES = 4 << 20
# Without the gigabyte that README.md adds for a crowd of clients.
MOST_BYTES = (300 << 20) + 56 * BODY_BYTES
# Members that become many times their size in memory, in bodies that go through each way of reading that there is.
MEMBERS = {
    "nested lists": b"[" * 900 + b"]" * 900,
    "nested objects": b'{"a":{"a":1}}',
    "a name twice": b'{"a":1,"a":2}',
    "objects": b'{"":0}',
}
ROUTES = {
    "/v1/models/dense:predict": b"instances",
    "/v1/models/dense:classify": b"examples",
    "/v2/models/dense/infer": b"inputs",
    "/predict": b"features",
}
TOGETHER = 4


def body(member: bytes, key: bytes, size: int) -> bytes:
    return b'{"%s":[%s]}' % (key, b",".join([member] * ((size - 20) // (len(member) + 1))))


def worker_status(gateway: int) -> dict[str, str]:
    (worker,) = Path(f"/proc/{gateway}/task/{gateway}/children").read_text().split()
    lines = Path(f"/proc/{worker}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
def test_hostile_bodies_that_come_together_take_no_more_memory_than_a_worker_may_have(make_gateway):
    stack = make_gateway(("dense",), workers=1, max_body_bytes=BODY_BYTES, predict_timeout_ms=60_000)
    gateway = stack.gateway.process.pid
    before = worker_status(gateway)
    bodies = [(path, body(member, key, BODY_BYTES)) for path, key in ROUTES.items() for member in MEMBERS.values()]
    with ThreadPoolExecutor(TOGETHER) as pool:
        statuses = list(pool.map(lambda sent: stack.post(*sent).status_code, bodies))
    assert set(statuses) == {400}
    after = worker_status(gateway)
    assert after["Pid"] == before["Pid"]
    assert int(after["VmHWM"].split()[0]) * 1024 < MOST_BYTES
