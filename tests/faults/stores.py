"""PostgreSQL, which keeps the prediction log, and Redis, over which gateways share their limits, fail.

tests/stack/test_prediction_log_outages.py holds that each row of the log is accounted for, and
tests/stack/test_limits_under_load.py that the limits hold.
"""

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.faults.fault import fault
from tests.faults.scene import ModelServer, Scene, started
from tests.gateway.access.limits.redis_server import RedisServer
from tests.gateway.prediction_log import outages
from tests.waiting import wait_for

_AMPLE = "1000000/s"
_PASSWORD = "another"  # noqa: S105 - of a server that ends with its test
_NOTICED_ROWS = 100  # that wait to be written


class Logged(Scene):
    """The gateway logs every prediction in a PostgreSQL that has an ``outage``."""

    outage: outages.Outage


def _logged(make_outage: Callable[[Path], "contextmanager[outages.Outage]"]) -> Callable[..., "contextmanager[Logged]"]:
    @contextmanager
    def logged(server: ModelServer, folder: Path) -> Iterator[Logged]:
        with make_outage(folder) as outage:
            scene = Logged(server, folder, prediction_log=outage.address)
            scene.outage = outage
            with started(scene):
                yield scene

    return logged


class Shared(Scene):
    """The gateway shares its limits over ``redis``."""

    redis: RedisServer


@contextmanager
def shared(server: ModelServer, folder: Path) -> Iterator[Shared]:
    redis = RedisServer(folder)
    redis.start()
    try:
        scene = Shared(server, folder, redis_url=redis.url, address_limits=_AMPLE, log_level="INFO")
        scene.redis = redis
        with started(scene):
            yield scene
    finally:
        redis.kill()


def _out(scene: Logged) -> Iterator[None]:
    scene.outage.begin()
    wait_for(lambda: _queued_rows(scene) >= _NOTICED_ROWS, 30)
    yield
    scene.outage.end()
    wait_for(lambda: _queued_rows(scene) < _NOTICED_ROWS, 60)


def _queued_rows(scene: Logged) -> float:
    text = scene.stack.get("/metrics").text
    [value] = re.findall(r'^gateway_prediction_log_queued_rows\{table="predictions"\} (\S+)', text, re.MULTILINE)
    return float(value)


@fault("20a", "PostgreSQL stops", _logged(outages.postgres_stopped), remark="rows wait; those that find no room are counted")
def postgres_stopped(scene: Logged) -> Iterator[None]:
    yield from _out(scene)


@fault("21a", "PostgreSQL hangs", _logged(outages.postgres_hangs), remark="as 20a")
def postgres_hangs(scene: Logged) -> Iterator[None]:
    yield from _out(scene)


@fault("22a", "PostgreSQL refuses the password", _logged(outages.postgres_wrong_password), remark="as 20a")
def postgres_refuses(scene: Logged) -> Iterator[None]:
    yield from _out(scene)


@fault("23a", "PostgreSQL's disk is full", _logged(outages.postgres_disk_full), remark="as 20a")
def postgres_full(scene: Logged) -> Iterator[None]:
    # The file of the table may have 1 MiB, which pages that are hardly used fill sooner.
    with psycopg.connect(scene.outage.address, autocommit=True) as connection:
        connection.execute("ALTER TABLE predictions SET (fillfactor = 10)")
    yield from _out(scene)


@fault("20b", "Redis is killed, and started again", shared, remark="each gateway goes on with limits of its own")
def redis_killed(scene: Shared) -> Iterator[None]:
    scene.redis.kill()
    _wait_until_lost(scene)
    yield
    scene.redis.start()
    _wait_until_found(scene)


@fault("21b", "Redis hangs", shared, remark="as 20b")
def redis_hangs(scene: Shared) -> Iterator[None]:
    scene.redis.hang()
    _wait_until_lost(scene)
    yield
    scene.redis.go_on()
    _wait_until_found(scene)


@fault("22b", "Redis wants a password", shared, remark="as 20b")
def redis_refuses(scene: Shared) -> Iterator[None]:
    _redis(scene, "CONFIG", "SET", "requirepass", _PASSWORD)
    _redis(scene, "CLIENT", "KILL", "TYPE", "normal", password=_PASSWORD)
    _wait_until_lost(scene)
    yield
    _redis(scene, "CONFIG", "SET", "requirepass", "", password=_PASSWORD)
    _wait_until_found(scene)


@fault("23b", "Redis has no memory left", shared, remark="as 20b")
def redis_full(scene: Shared) -> Iterator[None]:
    _redis(scene, "CONFIG", "SET", "maxmemory", "1")
    _wait_until_lost(scene)
    yield
    _redis(scene, "CONFIG", "SET", "maxmemory", "0")
    _wait_until_found(scene)


def _wait_until_lost(scene: Shared) -> None:
    wait_for(lambda: _count(scene, "limits.store_lost") > _count(scene, "limits.store_found"), 30)


def _wait_until_found(scene: Shared) -> None:
    wait_for(lambda: _count(scene, "limits.store_found") == _count(scene, "limits.store_lost"), 30)


def _count(scene: Shared, event: str) -> int:
    return scene.log().count(f'"event":"{event}"')


def _redis(scene: Shared, *words: str, password: str = "") -> None:
    command = ["redis-cli", "-p", str(scene.redis.port), *(["-a", password, "--no-auth-warning"] if password else []), *words]
    subprocess.run(command, check=True, capture_output=True, timeout=20)
