"""Clients that send too slowly: nginx holds them, the gateway never sees them, and the others are answered."""

import threading
from contextlib import ExitStack, suppress

from tests.edge.nginx import edge_before
from tests.edge.test_predictions import V1
from tests.waiting import wait_for

CLIENTS = 400
HEAD = b"POST /v1/models/half_plus_two:predict HTTP/1.1\r\nHost: a\r\n"


def test_clients_that_send_a_byte_at_a_time_hurt_nobody_and_are_cut_off(edge_stack):
    with edge_before(edge_stack.gateway_port, GATEWAY_READ_TIMEOUT_MS=3000) as edge, ExitStack() as open_wires:
        wires = [open_wires.enter_context(edge.wire()) for _ in range(CLIENTS)]
        is_over = threading.Event()
        slow = threading.Thread(target=trickle, args=(wires, is_over))
        slow.start()
        try:
            answers = [edge.post(V1, {"instances": [float(number)]}) for number in range(100)]
            assert [answer.json() for answer in answers] == [{"predictions": [number / 2 + 2]} for number in range(100)]
            wait_for(lambda: len(edge.requests_logged(408)) == CLIENTS, 60)
        finally:
            is_over.set()
            slow.join()
        assert all(line["gateway"] == "" for line in edge.requests_logged(408))
        for wire in wires:
            assert wire.read_to_the_end() == []
            assert wire.is_closed
        assert edge.post(V1, {"instances": [1.0]}).status_code == 200


def test_a_body_that_trickles_in_reaches_the_gateway_whole_and_at_once(edge_stack):
    body = b'{"instances": [1.0]}'
    with edge_before(edge_stack.gateway_port, GATEWAY_READ_TIMEOUT_MS=2000) as edge, edge.wire() as wire:
        wire.play([HEAD + b"X-Request-Id: trickled\r\nContent-Length: %d\r\n\r\n" % len(body)])
        for number in range(len(body)):
            wire.play([body[number : number + 1], 0.2])
        [answer] = wire.read_until(lambda answers: len(answers) == 1)
        assert (answer.status, answer.body) == (200, b'{"predictions":[2.5]}')
        line = edge.logged("trickled")
    # It took the client longer than one wait of nginx, and the gateway a small part of that.
    assert line["total_s"] > 2
    assert line["gateway_s"] < 2


def trickle(wires, is_over):
    """Send heads that never end, a byte at a time on each connection."""
    for wire in wires:
        wire.play([HEAD])
    while not is_over.wait(0.2):
        for wire in wires:
            with suppress(OSError):  # it was cut off
                wire.sock.sendall(b"x")
