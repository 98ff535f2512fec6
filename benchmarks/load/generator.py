"""A load generator with a timetable: each request is due at a moment that does not depend on the server.

One thread, epoll, a connection for every request that is under way, kept for the next. Latency counts from the moment at which
a request was due, so that a server which makes the generator late does not hide it. Every answer is checked.
"""

import select
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence

from benchmarks.load import request_headers
from benchmarks.load.answer import Answer, Unreadable, parse
from benchmarks.load.records import Outcome

Row = tuple[float, float, int, int]
# Whether this body is the right answer of this version to the request of this number.
Judge = Callable[[int, int, bytes], bool]

_SWEEP_S = 0.1
_RECEIVED_BYTES = 65536


class Connection:
    """A connection, and the request that is under way on it: its number, and when it was due."""

    __slots__ = ("due_s", "events", "is_used", "number", "received", "socket", "unsent")

    def __init__(self, port: int) -> None:
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect_ex(("127.0.0.1", port))
        self.received = b""
        self.unsent = b""
        self.is_used = False
        self.events = select.EPOLLIN | select.EPOLLOUT
        self.number = 0
        self.due_s = 0.0


class Generator:
    """Sends ``requests`` in turn to a port and keeps a row for each: due_s, latency_s, outcome, version. Not thread-safe."""

    def __init__(self, port: int, requests: Sequence[bytes], judge: Judge, connections: int, timeout_s: float) -> None:
        self.rows: list[Row] = []
        self._port = port
        self._requests = requests
        self._judge = judge
        self._connections = connections
        self._timeout_s = timeout_s
        self._epoll = select.epoll()
        self._busy: dict[int, Connection] = {}
        self._idle: list[Connection] = []
        self._waiting: deque[float] = deque()
        self._sent = 0
        self._is_stopped = False
        self._known: dict[tuple[int, int, bytes], bool] = {}

    def run(self, due_s: Sequence[float]) -> None:
        """Send a request at each of these moments, in order, and wait for the answers. `stop` leaves out those to come."""
        position, swept_s, count = 0, 0.0, len(due_s)
        while position < count or self._busy or self._waiting:
            now_s = time.monotonic()
            if self._is_stopped:
                count = position
            while position < count and due_s[position] <= now_s:
                self._waiting.append(due_s[position])
                position += 1
            self._send_waiting()
            if now_s - swept_s > _SWEEP_S:
                self._give_up(now_s)
                swept_s = now_s
            next_s = due_s[position] if position < count else now_s + _SWEEP_S
            self._handle_events(min(_SWEEP_S, max(0.0, next_s - time.monotonic())))

    def run_closed(self, clients: int, seconds: float) -> None:
        """Run so many clients, each of which sends its next request when the last one is answered, until `stop` or the end."""
        until_s = time.monotonic() + seconds
        swept_s = 0.0
        while self._busy or time.monotonic() < until_s:
            now_s = time.monotonic()
            if self._is_stopped:
                until_s = min(until_s, now_s)
            if now_s < until_s:
                self._waiting.extend([now_s] * (clients - len(self._busy)))
                self._send_waiting()
            if now_s - swept_s > _SWEEP_S:
                self._give_up(now_s)
                swept_s = now_s
            self._handle_events(_SWEEP_S)

    def stop(self) -> None:
        """Let `run` or `run_closed` end when what it has sent is answered. For handlers of signals too."""
        self._is_stopped = True

    def close(self) -> None:
        """Close every connection."""
        for connection in (*self._idle, *self._busy.values()):
            connection.socket.close()
        self._epoll.close()

    def _send_waiting(self) -> None:
        while self._waiting and (self._idle or len(self._busy) < self._connections):
            connection = self._idle.pop() if self._idle else self._connect()
            connection.due_s = self._waiting.popleft()
            connection.number = self._sent % len(self._requests)
            connection.unsent = request_headers.insert(self._requests[connection.number])
            self._sent += 1
            self._busy[connection.socket.fileno()] = connection
            if connection.is_used:
                self._send(connection)

    def _connect(self) -> Connection:
        connection = Connection(self._port)
        self._epoll.register(connection.socket, connection.events)
        return connection

    def _handle_events(self, timeout_s: float) -> None:
        events = self._epoll.poll(0)
        # epoll waits in whole milliseconds, select in microseconds.
        if not events and timeout_s and select.select([self._epoll], [], [], timeout_s)[0]:
            events = self._epoll.poll(0)
        for descriptor, happened in events:
            connection = self._busy.get(descriptor)
            if connection is None:
                self._forget_idle(descriptor)
            elif happened & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                self._receive(connection)
            else:
                self._send(connection)

    def _send(self, connection: Connection) -> None:
        """Send what the socket takes now; the rest is sent when it takes more."""
        try:
            connection.unsent = connection.unsent[connection.socket.send(connection.unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self._finish(connection, Outcome.BROKEN)
            return
        events = select.EPOLLIN | (select.EPOLLOUT if connection.unsent else 0)
        if events != connection.events:
            self._epoll.modify(connection.socket, events)
            connection.events = events
        connection.is_used = True

    def _receive(self, connection: Connection) -> None:
        try:
            data = connection.socket.recv(_RECEIVED_BYTES)
            connection.received += data
            answer = parse(connection.received)
        except BlockingIOError:
            return
        except (OSError, Unreadable):
            self._finish(connection, Outcome.BROKEN)
            return
        if answer is not None:
            version = answer.version
            self._finish(connection, self._outcome(connection.number, version, answer), version, is_last=answer.is_last)
        elif not data:
            self._finish(connection, Outcome.BROKEN)

    def _outcome(self, number: int, version: int, answer: Answer) -> Outcome:
        if answer.status != 200:
            return Outcome.REFUSED if answer.status == 503 and answer.has_retry_after else Outcome.FAILED
        key = (number, version, answer.body)
        if key not in self._known:
            self._known[key] = self._judge(*key)
        if not self._known[key]:
            return Outcome.WRONG
        return Outcome.SAVED if answer.is_saved else Outcome.RIGHT

    def _finish(self, connection: Connection, outcome: Outcome, version: int = 0, *, is_last: bool = True) -> None:
        self.rows.append((connection.due_s, time.monotonic() - connection.due_s, outcome, version))
        del self._busy[connection.socket.fileno()]
        if is_last:
            connection.socket.close()
            return
        connection.received = b""
        self._idle.append(connection)

    def _forget_idle(self, descriptor: int) -> None:
        """Close an idle connection that the server has closed."""
        for connection in self._idle:
            if connection.socket.fileno() == descriptor:
                self._idle.remove(connection)
                connection.socket.close()
                return

    def _give_up(self, now_s: float) -> None:
        late = [connection for connection in self._busy.values() if now_s - connection.due_s > self._timeout_s]
        for connection in late:
            self._finish(connection, Outcome.LATE)
        while self._waiting and now_s - self._waiting[0] > self._timeout_s:
            due_s = self._waiting.popleft()
            self.rows.append((due_s, now_s - due_s, Outcome.LATE, 0))
