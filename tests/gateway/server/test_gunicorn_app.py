"""How gunicorn is configured, and what the process may use."""

import logging
import resource
import subprocess
import sys

import pytest

from gateway.server import gunicorn_app
from gateway.server.gunicorn_app import GatewayServer, usual_workers
from gateway.server.limits import Limits
from gateway.server.process import raise_file_limit
from gateway.server.worker import LoopWorker, ServerConfig


def configured(**changes: object):
    values = {"host": "::1", "port": 8080, "workers": 0, "drain_delay_s": 1.5, "graceful_timeout_s": 30} | changes
    config = ServerConfig(**values, limits=Limits(1, 1, 1))
    return GatewayServer(config, lambda is_draining: None, lambda pid: None).cfg


@pytest.mark.parametrize(("cores", "workers"), [(1, 1), (2, 1), (3, 1), (4, 2), (64, 32)])
def test_half_of_the_cores_are_left_to_the_model_server(cores, workers):
    assert usual_workers(cores) == workers


def test_without_a_number_of_workers_there_are_as_many_as_usual():
    assert configured().workers >= 1


def test_the_number_of_workers_may_be_given():
    assert configured(workers=5).workers == 5


def test_gunicorn_runs_our_worker_where_it_is_told_and_listens_to_nothing_else():
    cfg = configured()
    assert cfg.worker_class is LoopWorker
    assert cfg.bind == ["[::1]:8080"]
    assert cfg.control_socket_disable


def test_gunicorn_kills_a_worker_only_after_its_delay_and_its_graceful_time():
    assert configured().graceful_timeout > 1.5 + 30


def test_the_arbiter_is_gunicorns_own():
    from gunicorn.arbiter import Arbiter

    assert gunicorn_app.Arbiter is Arbiter


def test_gunicorns_events_go_through_the_gateways_log():
    logger = gunicorn_app.PropagatingLogger(configured())
    assert logger.error_log.propagate
    assert not logger.error_log.handlers
    assert logger.error_log.level == logging.WARNING


def test_the_limit_of_open_files_is_raised_as_far_as_it_is_allowed():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (2000, before[1]))
        clients = raise_file_limit()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert soft == min(hard, 16_384 + 512)
        assert clients == min(16_384, soft - 512)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_memory_of_large_bodies_goes_back_to_the_system():
    """In a process of its own: the setting is for good."""
    report = subprocess.run([sys.executable, "-c", GIVES_BACK], check=True, capture_output=True, text=True).stdout.split()
    before_kb, after_kb = map(int, report)
    assert after_kb - before_kb < 40_000


GIVES_BACK = """
from gateway.server.process import give_large_blocks_back
def held():
    return int(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmRSS')))
give_large_blocks_back()
before = held()
for _ in range(3):
    blocks = [bytearray(b'x' * (30 << 20)) for _ in range(4)]
    del blocks
print(before, held())
"""
