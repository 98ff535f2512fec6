"""Slow, greedy and vanishing clients, and more requests than may be in work."""

import json
import re
import socket
import threading
import time
from contextlib import ExitStack

import pytest

from gateway.server.limits import AHEAD_BYTES, Limits
from tests.gateway.server.http_cases_connection import GET, GOOD, PREDICT, post
from tests.gateway.server.http_wire import HALF_CLOSE, RESET, Wire
from tests.gateway.server.served import Served
from tests.gateway.server.synthetic import LARGE, LONG
from tests.waiting import wait_for

WAIT = b"POST /wait/%d HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}"
LAST = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


def limits(**changes: int) -> Limits:
    return Limits(**({"max_body_bytes": 2000, "read_timeout_ms": 2000, "max_in_flight": 512} | changes))


@pytest.mark.parametrize("ending", [HALF_CLOSE, RESET, "close"])
def test_what_a_vanished_client_waited_for_is_cancelled(ending):
    with Served() as served, Wire(served.port) as gone, Wire(served.port) as other:
        gone.play((WAIT % 1,))
        other.play((WAIT % 2,))
        wait_for(lambda: sorted(served.application.waiting) == ["/wait/1", "/wait/2"])
        gone.play((ending,) if ending != "close" else ())
        if ending != HALF_CLOSE:
            gone.sock.close()
        wait_for(lambda: served.application.cancelled == ["/wait/1"])
        wait_for(lambda: served.connections.in_work == 1)
        served.call(served.application.go_on.set)
        [answer] = other.read_until(bool)
        assert answer.status == 200
        wait_for(lambda: served.connections.bodies.bytes == 0)


def test_two_clients_that_pipeline_and_split_their_requests_never_get_each_others_answers(served):
    """1,000 requests of each, their bodies alike but for a number, sent in pieces that end anywhere."""
    mixed = []

    def ask(name: str) -> None:
        requests = [b'{"client": "%s", "number": %d, "x": "%s"}' % (name.encode(), n, b"y" * (n % 97)) for n in range(1000)]
        sent = b"".join(post(body) for body in requests)
        with Wire(served.port) as wire:
            sender = threading.Thread(target=send_in_pieces, args=(wire, sent, len(name)))
            sender.start()
            data = bytearray()
            while data.count(b"HTTP/1.1 200") < len(requests) or not data.endswith(b"}"):
                piece = wire.sock.recv(65536)
                assert piece
                data += piece
            sender.join()
        answered = [json.loads(body) for body in re.findall(rb"\r\n\r\n(\{.*?\})(?=HTTP/1.1|\Z)", bytes(data), re.S)]
        if answered != [json.loads(body) for body in requests]:
            mixed.append(name)

    clients = [threading.Thread(target=ask, args=(name,)) for name in ("one", "another")]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert mixed == []


def send_in_pieces(wire: Wire, data: bytes, seed: int) -> None:
    place, size = 0, seed
    while place < len(data):
        size = (size * 7919) % 1543 + 1
        wire.sock.sendall(data[place : place + size])
        place += size


def test_a_slow_client_is_told_after_the_time_for_a_whole_request_however_often_it_sends_something(served):
    with Wire(served.port) as wire:
        wire.play((PREDICT + b"Content-Length: 1000\r\n\r\n",))
        began_s = time.monotonic()
        while not wire.is_closed and time.monotonic() - began_s < 8:
            wire.play((b" ",))
            wire.read_until(bool, timeout_s=0.1)
            if wire.answers:
                break
        [answer] = wire.answers
        assert answer.status == 408
        assert answer.header(b"x-setting") == b"GATEWAY_READ_TIMEOUT_MS=2000"


def test_a_connection_that_sends_nothing_is_closed_when_a_request_would_have_timed_out():
    with Served(limits(read_timeout_ms=300)) as served, Wire(served.port) as wire:
        assert wire.read_to_the_end() == []
        assert wire.is_closed


def test_a_kept_connection_outlives_the_time_for_a_request():
    with Served(limits(read_timeout_ms=300)) as served, Wire(served.port) as kept, Wire(served.port) as silent:
        kept.play((GET,))
        assert len(kept.read_until(bool)) == 1
        silent.read_to_the_end()  # closed after that time
        assert silent.is_closed
        kept.play((GET,))
        assert len(kept.read_until(lambda answers: len(answers) == 2)) == 2


def deaf(port: int) -> Wire:
    """A client with small buffers of its own."""
    wire = Wire(port)
    wire.sock.close()  # the server may see this connection for a moment
    wire.sock = socket.socket()
    wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    wire.sock.connect(("127.0.0.1", port))
    return wire


def test_a_client_that_does_not_read_its_answer_is_dropped_and_others_are_served():
    with Served(limits(read_timeout_ms=500)) as served, deaf(served.port) as wire, Wire(served.port) as other:
        wire.play((GET.replace(b"/healthz", b"/large") * 3,))
        other.play((GET,))
        assert len(other.read_until(bool)) == 1
        other.sock.close()
        wait_for(lambda: not served.connections.open)


def test_a_slow_reader_gets_its_answer_whole_as_long_as_it_reads():
    with Served(limits(read_timeout_ms=500)) as served, deaf(served.port) as wire:
        size = 6 * LARGE  # more than the buffers on the way hold
        wire.play((GET.replace(b"/healthz", b"/large?%d" % size),))
        received, began_s = 0, time.monotonic()
        while received < size:
            # Slower than the time limit for the whole answer, and never as slow as that for a part of it.
            until_s = began_s + 3 * received / size
            time.sleep(max(0.0, until_s - time.monotonic()))
            piece = wire.sock.recv(65536)
            assert piece
            received += len(piece)
        assert time.monotonic() - began_s > 0.5


def test_answers_to_a_client_that_reads_none_are_not_made_ahead():
    with Served() as served, deaf(served.port) as wire:
        wire.play((GET.replace(b"/healthz", b"/long") * 40,))
        connection = wait_for(lambda: next((one for one in list(served.connections.open) if one._pauses_writing), None))
        assert connection._transport.get_write_buffer_size() <= 2 * LONG
        received = 0
        while received < 40 * LONG:
            received += len(wire.sock.recv(1 << 20))


def test_a_client_that_sends_ahead_is_read_no_further_than_a_bound():
    with Served() as served, Wire(served.port) as wire:
        wire.play((WAIT % 1,))
        wait_for(lambda: served.application.waiting)
        wire.sock.settimeout(0.5)
        with pytest.raises(TimeoutError):
            wire.sock.sendall(GET * 500_000)
        [connection] = served.connections.open
        assert len(connection._ahead) < 10 * AHEAD_BYTES
        # And of that only few are requests yet: each would be some kilobytes of objects.
        assert len(connection._reader.whole) < 100
        served.call(served.application.go_on.set)
        wire.sock.settimeout(5)
        assert wire.sock.recv(65536).startswith(b"HTTP/1.1 200 OK")


@pytest.fixture
def full():
    """A server with as many requests in work as there may be: two."""
    with Served(limits(max_in_flight=2, max_body_bytes=10_000_000)) as served:
        wires = [Wire(served.port) for _ in range(2)]
        for place, wire in enumerate(wires):
            wire.play((WAIT % place,))
        wait_for(lambda: len(served.application.waiting) == 2)
        yield served
        served.call(served.application.go_on.set)
        for wire in wires:
            assert [answer.status for answer in wire.read_until(bool)] == [200]
            wire.sock.close()


def test_one_request_too_many_is_refused_and_its_connection_kept(full):
    with Wire(full.port) as wire:
        wire.play((post() + GET + post() + LAST,))
        answers = wire.read_to_the_end()
    assert [answer.status for answer in answers] == [503, 200, 503, 200]
    assert [answer.header(b"connection") for answer in answers] == [b"keep-alive"] * 3 + [b"close"]
    assert answers[0].header(b"x-setting") == b"GATEWAY_MAX_IN_FLIGHT=2"
    assert answers[0].header(b"x-path") == b"/v1/models/m:predict"
    assert json.loads(answers[0].body) == {"error": "too many requests are in work here"}


@pytest.mark.parametrize("field", [b"Content-Length: 9000000", b"Transfer-Encoding: chunked"])
def test_one_too_many_with_a_large_body_is_refused_before_it_has_come(full, field):
    with Wire(full.port) as wire:
        wire.play((PREDICT + field + b"\r\n\r\n",))
        [answer] = wire.read_to_the_end()
        assert (answer.status, answer.header(b"connection")) == (503, b"close")


def test_one_too_many_that_waits_for_continue_is_not_asked_for_its_body(full):
    with Wire(full.port) as wire:
        wire.play((PREDICT + b"Expect: 100-continue\r\nContent-Length: 9000000\r\n\r\n",))
        assert [answer.status for answer in wire.read_to_the_end()] == [503]


def test_a_refusal_reaches_a_client_that_sends_all_before_it_reads(full):
    """A reset would be an error for it while it sends."""
    with Wire(full.port) as wire:
        wire.sock.sendall(PREDICT + b"Content-Length: 9000000\r\n\r\n" + b"x" * 9_000_000)
        assert [answer.status for answer in wire.read_to_the_end()] == [503]


def test_a_get_without_a_body_is_answered_however_much_is_in_work(full):
    with Wire(full.port) as wire:
        wire.play((GET,))
        assert [answer.status for answer in wire.read_until(bool)] == [200]


def test_there_is_room_again_when_requests_have_been_answered(full):
    full.call(full.application.go_on.set)
    wait_for(lambda: full.connections.in_work == 0)
    with Wire(full.port) as wire:
        wire.play((post(),))
        assert [answer.status for answer in wire.read_until(bool)] == [200]


def test_a_client_that_goes_away_makes_room_for_others():
    with Served(limits(max_in_flight=1)) as served, Wire(served.port) as gone, Wire(served.port) as other:
        gone.play((WAIT % 1,))
        wait_for(lambda: served.application.waiting)
        other.play((post(),))
        assert [answer.status for answer in other.read_until(bool)] == [503]
        gone.sock.close()
        wait_for(lambda: served.connections.in_work == 0)
        other.play((post(),))
        assert [answer.status for answer in other.read_until(lambda answers: len(answers) == 2)] == [503, 200]


def test_over_the_limit_reaches_a_client_that_sends_all_before_it_reads(served):
    with Wire(served.port) as wire:
        wire.sock.sendall(PREDICT + b"Content-Length: 20000000\r\n\r\n" + b"x" * 20_000_000)
        [answer] = wire.read_to_the_end()
        assert answer.status == 413


def test_a_continue_waits_for_the_answers_before_it():
    """A client that pipelines must not take it for the answer to another request."""
    with Served() as served, Wire(served.port) as wire:
        wire.play((WAIT % 1 + PREDICT + b"Expect: 100-continue\r\nContent-Length: 27\r\n\r\n",))
        wait_for(lambda: served.application.waiting)
        assert wire.read_until(bool, timeout_s=0.2) == []
        served.call(served.application.go_on.set)
        assert [answer.status for answer in wire.read_until(lambda answers: len(answers) == 2)] == [200, 100]
        wire.play((GOOD,))
        assert [answer.status for answer in wire.read_until(lambda answers: len(answers) == 3)] == [200, 100, 200]


def test_four_slow_uploads_keep_nobody_out():
    with Served(limits(max_body_bytes=32 << 20, read_timeout_ms=20_000)) as served:
        slow = [Wire(served.port) for _ in range(4)]
        for wire in slow:
            wire.play((PREDICT + b"Content-Length: 33000000\r\n\r\n{",))
        body = b'{"x": "%s"}' % (b"y" * 30_000_000)
        with Wire(served.port) as wire:
            wire.play((post(body),))
            [answer] = wire.read_until(bool)
            assert answer.status == 200
        for wire in slow:
            wire.sock.close()
        wait_for(lambda: served.connections.bodies.bytes == 0)


def test_uploads_beyond_the_bound_wait_for_the_oldest_and_all_are_answered():
    """Seven of 20 MB, where 80 MB may be held: their time does not run while they are held up.

    Bodies that are whole and not yet answered have a bound of their own, so that they are not counted here.
    """
    with Served(limits(max_body_bytes=20_000_000, read_timeout_ms=5000)) as served:
        body = b'{"x": "%s"}' % (b"y" * 19_900_000)
        statuses, most = [], 0

        async def receiving_bytes() -> int:
            """Asked on the server's loop, where the two counts are of one moment."""
            return served.connections.bodies.bytes - len(body) * served.connections.in_work

        def upload() -> None:
            with Wire(served.port) as wire:
                wire.play((post(body),))
                statuses.extend(answer.status for answer in wire.read_until(bool, timeout_s=60))

        uploads = [threading.Thread(target=upload) for _ in range(7)]
        for one in uploads:
            one.start()
        while any(one.is_alive() for one in uploads):
            most = max(most, served.run(receiving_bytes()))
            time.sleep(0.002)
        assert statuses == [200] * 7
        assert 20_000_000 < most <= 80_000_000 + 20_000_000 + 7 * (1 << 20)
        wait_for(lambda: served.connections.bodies.bytes == 0)


def test_the_time_of_an_upload_that_is_held_up_does_not_run():
    """Two older ones send nothing more and time out, one after the other. The youngest has its whole time left then."""
    size = 20_000_000
    with Served(limits(max_body_bytes=size, read_timeout_ms=700)) as served:
        waiting = [Wire(served.port) for _ in range(4)]
        for wire in waiting:
            wire.sock.sendall(b"POST /wait HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
        wait_for(lambda: len(served.application.waiting) == 4)
        older = [Wire(served.port) for _ in range(2)]
        for place, wire in enumerate(older):
            wire.play((PREDICT + b"Content-Length: %d\r\n\r\n" % size + b"x" * 500_000,))
            wait_for(lambda place=place: len(served.connections.bodies._uploads) == place + 1)
        with Wire(served.port) as youngest:
            sender = threading.Thread(target=youngest.play, args=([post(b'{"x": "%s"}' % (b"y" * (size - 100)))],))
            sender.start()
            for wire in older:
                assert [answer.status for answer in wire.read_until(bool)] == [408]
                wire.sock.close()
            assert [answer.status for answer in youngest.read_until(bool)] == [200]
            sender.join()
        for wire in waiting:
            wire.sock.close()


def test_while_bodies_in_work_are_beyond_the_bound_no_upload_goes_on_and_its_time_does_not_run():
    size = 20_000_000
    with Served(limits(max_body_bytes=size, read_timeout_ms=700)) as served, ExitStack() as clients:
        waiting = [clients.enter_context(Wire(served.port)) for _ in range(5)]
        for wire in waiting:
            wire.sock.sendall(b"POST /wait HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
        wait_for(lambda: len(served.application.waiting) == 5)
        late = clients.enter_context(Wire(served.port))
        sender = threading.Thread(target=late.play, args=([post(b'{"x": "%s"}' % (b"y" * (size - 100)))],))
        sender.start()
        wait_for(lambda: len(served.connections.bodies._uploads) == 1)
        time.sleep(1.5)
        assert served.connections.bodies.bytes < 5 * size + (1 << 20)  # one read of the sixth
        served.call(served.application.go_on.set)
        for wire in (*waiting, late):
            assert [answer.status for answer in wire.read_until(bool)] == [200]
        sender.join()
        wait_for(lambda: served.connections.bodies.bytes == 0)
