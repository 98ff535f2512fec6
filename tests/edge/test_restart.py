"""The gateway goes away and comes back under load behind nginx."""

import os
import signal
from collections import Counter

import pytest

from tests.edge.load import Load
from tests.edge.nginx import edge_before
from tests.stack.conftest import Stack
from tests.waiting import wait_for

RESTARTS = 3


@pytest.fixture
def restarting(edge_stack, tmp_path):
    """A gateway of its own."""
    stack = Stack(tmp_path, edge_stack.models_dir, ("half_plus_two",))
    try:
        yield stack.start_before(edge_stack)
    finally:
        stack.stop()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_no_answer_is_wrong_and_no_request_is_sent_twice(restarting, number):
    with edge_before(restarting.gateway_port) as edge:
        with Load(edge) as load:
            for _ in range(RESTARTS):
                before = len(load.tally.answered)
                wait_for(lambda before=before: len(load.tally.answered) > before + 200, 60)
                end(restarting.gateway.process, number)
                refused = load.tally.statuses[502]
                wait_for(lambda refused=refused: load.tally.statuses[502] > refused + 16)
                restarting.start_gateway()
                wait_for(restarting.is_ready_or_dead, 60)
            before = len(load.tally.answered)
            wait_for(lambda before=before: len(load.tally.answered) > before + 200, 60)
        tally = load.tally
        # A line is written after its answer was sent.
        wait_for(lambda: tally.sent <= {line["id"] for line in edge.requests_logged()})
        logged_by_edge = Counter(line["id"] for line in edge.requests_logged())
    restarting.gateway.stop()
    received = Counter(event["id"] for event in restarting.log_events() if event.get("id") in tally.sent)
    assert tally.wrong == []
    # nginx itself stays: no client loses its connection, and each request has one answer.
    assert tally.closed == {}
    assert sum(tally.statuses.values()) == len(tally.sent)
    # 503: the gateway runs, and does not know its models yet.
    assert set(tally.statuses) <= {200, 502, 503}
    assert set(received.values()) == {1}
    assert {logged_by_edge[request_id] for request_id in tally.sent} == {1}
    if number == signal.SIGTERM:
        # What was answered was received; a gateway that is killed takes the last lines of its log with it.
        assert tally.answered <= set(received)


def end(process, number):
    """End the gateway; SIGKILL takes its workers with it."""
    if number == signal.SIGKILL:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    process.wait(60)
