"""The loop worker: plain requests are handled by greenlets of one thread, all others by gunicorn's own thread worker.

The loop receives, recognises (``plain``), and sends; between, gunicorn's own code runs the application, so hooks, access log,
limits and the rules for answers are its own. What is not plain, or large, goes to a thread with the bytes that have come, and
the connection comes back when it is answered. A slow client costs no thread as long as what it sends is plain.
"""

import errno
import selectors
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from gunicorn import http
from gunicorn.http2 import negotiation
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, ThreadWorker

from gateway.waiting import Hub
from gateway.worker.client import Client, Stage
from gateway.worker.connection import PatientSocket
from gateway.worker.exchange import Exchange
from gateway.worker.plain import Head, Incomplete, PlainRequest, is_within, read_head
from gateway.worker.thread import DrainingWorker

_SWEEP_S = 0.1
_NOTICE_S = 1.0
_EVENTS_IN_A_ROW = 16
_ACCEPTS_IN_A_ROW = 512
_LINGER_S = STOP_KEEPALIVE_LINGER  # as long as gunicorn.util.close_graceful
_LINGER_BYTES = 65536
_AHEAD_BYTES = 65536  # what a client may send ahead while it is answered
_SMALL_BODY_BYTES = 65536  # handled in the loop; decoding a larger one would keep the others waiting
_RECEIVED_BYTES = 1 << 20  # a larger body is read by the thread that handles it
_ALL_RECEIVED_BYTES = 64 << 20


class LoopWorker(DrainingWorker):
    """gunicorn's thread worker with a loop before it. ``runs_in_thread`` tells of a path that its handling takes long."""

    max_in_flight = 512
    max_body_bytes = 1 << 31
    runs_in_thread: Callable[[str], bool] = staticmethod(lambda path: False)
    refuse: Callable[[str], bytes] = staticmethod(lambda path: b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._hub = Hub()
        self._clients: set[Client] = set()
        self._reserved_bytes = 0
        self._in_flight = 0
        self._not_looked_at = 0
        self._keepalive_s = self.cfg.keepalive
        self._next_sweep_s = 0.0
        self._next_notice_s = 0.0
        self._is_plain = self._may_be_plain()
        self._refused = frozenset(self.cfg.secure_scheme_headers)

    def _may_be_plain(self) -> bool:
        """Whether gunicorn is configured to take what is plain for that."""
        cfg, nobody = self.cfg, ("127.0.0.1", 0)
        if cfg.is_ssl or cfg.proxy_protocol != "off":
            return False
        if negotiation.prior_knowledge_allowed(cfg, nobody) or negotiation.upgrade_allowed(cfg, nobody):
            return False
        return is_within(cfg.limit_request_line, cfg.limit_request_fields, cfg.limit_request_field_size)

    def run(self) -> None:
        """Serve until told to stop."""
        with self._hub as hub:
            self.poller.register(hub.fileno(), selectors.EVENT_READ, hub.drain)
            super().run()
            for client in self._clients:
                client.close()

    def notify(self) -> None:
        """Tell the arbiter that the worker lives; once a second is often enough."""
        now_s = time.monotonic()
        if now_s >= self._next_notice_s:
            self._next_notice_s = now_s + _NOTICE_S
            super().notify()

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """One turn of the loop."""
        hub = self._hub
        hub.run_due()
        longest_s = min(timeout, _SWEEP_S) if self._clients else timeout
        try:
            events = self.poller.select(hub.fall_asleep(longest_s))
        except InterruptedError:
            events = []
        hub.wake_up()
        self._not_looked_at = len(events)
        for key, _ in events:
            self._not_looked_at -= 1
            key.data(key.fileobj)
            if hub.is_idle_work_overdue():
                hub.run_idle()
            if not self._not_looked_at % _EVENTS_IN_A_ROW:
                # Answers that are there go out before more is let in.
                hub.run_due()
        hub.run_due()
        if not events:
            hub.run_idle()
        now_s = time.monotonic()
        if now_s >= self._next_sweep_s:
            self._next_sweep_s = now_s + _SWEEP_S
            self._sweep(now_s)

    def accept(self, listener: socket.socket) -> None:
        """Take new connections in. Several, so that those who wait to be let in do not wait for those who are."""
        for _ in range(_ACCEPTS_IN_A_ROW):
            if self.nr_conns >= self.worker_connections:
                return
            try:
                sock, address = listener.accept()
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                    raise
                return
            self._let_in(sock, address, listener.getsockname())

    def _let_in(self, sock: socket.socket, address: Any, server: Any) -> None:
        self.nr_conns += 1
        client = Client(self.cfg, sock, address, server)
        if not self._is_plain:
            self.enqueue_req(client)
            return
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._clients.add(client)
        client.wait(Stage.IDLE, self.read_timeout_s)
        self._watch(client, selectors.EVENT_READ)

    def _watch(self, client: Client, events: int) -> None:
        ready = self._on_readable if events == selectors.EVENT_READ else self._on_writable
        if client.is_watched:
            self.poller.modify(client.sock, events, partial(ready, client))
        else:
            self.poller.register(client.sock, events, partial(ready, client))
            client.is_watched = True

    def _unwatch(self, client: Client) -> None:
        if client.is_watched:
            self.poller.unregister(client.sock)
            client.is_watched = False

    def _on_readable(self, client: Client, sock: Any) -> None:
        if client not in self._clients:
            return  # gone since the poller told of it
        try:
            goes_on = client.receive()
        except OSError:
            self._drop(client)
            return
        if client.stage is Stage.BUSY:
            if not goes_on or client.received > _AHEAD_BYTES:
                self._unwatch(client)
        elif client.stage is Stage.LINGERING:
            if not goes_on or client.received > _LINGER_BYTES:
                self._drop(client)
        elif goes_on:
            self._advance(client)
        elif client.received:
            self._hand_over(client)
        else:
            self._drop(client)

    def _on_writable(self, client: Client, sock: Any) -> None:
        if client in self._clients:
            self._send(client, [])

    def _advance(self, client: Client) -> None:
        """Look at what has come, and begin to handle the request when it is there."""
        if client.head is None:
            head = read_head(client.data(), self._refused)
            if head is None:
                self._hand_over(client)
                return
            if client.stage is Stage.IDLE:
                client.wait(Stage.RECEIVING, self.read_timeout_s)
            if isinstance(head, Incomplete):
                return
            if not self._may_receive(head):
                self._hand_over(client)
                return
            client.head = head
            self._reserved_bytes += head.body_size
        head = client.head
        if client.received >= head.size + head.body_size:
            self._begin(client, head)

    def _may_receive(self, head: Head) -> bool:
        """Whether the loop itself takes the body in: a larger one is the thread's, which may refuse it before reading it."""
        if head.body_size > self.max_body_bytes or (head.body_size and head.method == "GET"):
            return False
        if head.method != "GET" and not head.has_length:
            return False
        return head.body_size <= _RECEIVED_BYTES and self._reserved_bytes + head.body_size <= _ALL_RECEIVED_BYTES

    def _forget_head(self, client: Client) -> None:
        if client.head is not None:
            self._reserved_bytes -= client.head.body_size
            client.head = None

    def _begin(self, client: Client, head: Head) -> None:
        body = client.take(head.size, head.body_size)
        self._forget_head(client)
        # Those whose requests have come and were not looked at are in work too.
        if self._in_flight + self._not_looked_at >= self.max_in_flight and head.method == "POST":
            self._send(client, [self.refuse(head.uri)])
            return
        request = PlainRequest(self.cfg, client.client, head, body)
        self._in_flight += 1
        client.stage, client.expires_s = Stage.BUSY, float("inf")
        if self.nr_conns > self.max_keepalived:
            request.force_close()
        if head.body_size > _SMALL_BODY_BYTES or self.runs_in_thread(request.path):
            self.tpool.submit(self._answer_in_thread, client, request)
        else:
            self._hub.spawn(self._answer_in_loop, client, request)

    def _answer_in_loop(self, client: Client, request: PlainRequest) -> None:
        exchange = Exchange(client.client, client.server)
        keeps = self._respond(request, exchange)
        self._deliver(client, exchange, keeps)

    def _answer_in_thread(self, client: Client, request: PlainRequest) -> None:
        exchange, keeps = Exchange(client.client, client.server), False
        try:
            keeps = self._respond(request, exchange)
        finally:
            self._hub.soon(partial(self._deliver, client, exchange, keeps))

    def _respond(self, request: PlainRequest, exchange: Exchange) -> bool:
        """Run the application as ``ThreadWorker.handle`` does; whether the connection may be kept."""
        try:
            return bool(self.handle_request(request, exchange))
        except StopIteration:
            return False
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN):
                self.log.exception("Socket error processing request.")
            return False
        except Exception as error:  # noqa: BLE001 - as gunicorn: what an application raises must not end the worker
            self.handle_error(request, exchange, exchange.client, error)
            return False

    def _deliver(self, client: Client, exchange: Exchange, keeps: bool) -> None:
        self._in_flight -= 1
        client.closes_after = not keeps
        self._send(client, exchange.parts)

    def _send(self, client: Client, parts: list[bytes]) -> None:
        try:
            is_sent = client.send(parts)
        except OSError:
            self._drop(client)
            return
        if not is_sent:
            client.wait(Stage.SENDING, self.read_timeout_s)
            self._watch(client, selectors.EVENT_WRITE)
        elif client.closes_after:
            self._linger(client)
        else:
            self._rest(client)

    def _rest(self, client: Client) -> None:
        """An answer is sent: wait for the next request, or handle the one that has come already."""
        was_sending = client.stage is Stage.SENDING
        client.wait(Stage.IDLE, self._keepalive_s if self.alive else _LINGER_S)
        if client.received:
            self._hub.soon(partial(self._go_on, client))
        elif client.has_ended:
            self._drop(client)
        elif was_sending or not client.is_watched:
            self._watch(client, selectors.EVENT_READ)

    def _go_on(self, client: Client) -> None:
        if client not in self._clients:
            return
        if client.has_ended:
            self._hand_over(client)
            return
        if client.stage is Stage.IDLE:
            self._watch(client, selectors.EVENT_READ)
            self._advance(client)

    def _linger(self, client: Client) -> None:
        """Say that no more comes, and wait for the client to close: unread bytes would make its last answer vanish."""
        client.take_all()
        try:
            client.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(client)
            return
        if client.has_ended:
            self._drop(client)
            return
        client.wait(Stage.LINGERING, _LINGER_S)
        self._watch(client, selectors.EVENT_READ)

    def _drop(self, client: Client) -> None:
        self._unwatch(client)
        self._forget_head(client)
        self._clients.discard(client)
        self.nr_conns -= 1
        client.close()

    def _sweep(self, now_s: float) -> None:
        for client in [client for client in self._clients if client.expires_s <= now_s]:
            if client.stage is Stage.RECEIVING and client.head is not None:
                # The application tells the client that its body did not arrive in time.
                self._hand_over(client)
            elif client.stage is Stage.RECEIVING:
                self._linger(client)
            else:
                self._drop(client)

    def _hand_over(self, client: Client) -> None:
        """Let gunicorn's own code, in a thread, go on with what has come."""
        self._unwatch(client)
        self._forget_head(client)
        self._clients.discard(client)
        client.sock = PatientSocket(client.sock, self.read_timeout_s)
        client.data_ready = True
        client.initialized = False
        client.parser = http.get_parser(self.cfg, client.sock, client.client)
        client.parser.unreader.unread(client.take_all())
        self.enqueue_req(client)

    def handle(self, conn: Any) -> Any:
        """As in the thread worker; what a request has waited in the loop is part of its time."""
        if not self._is_plain or conn.stage is not Stage.RECEIVING:
            return super().handle(conn)
        conn.sock.patience_ends_s = conn.expires_s
        return ThreadWorker.handle(self, conn)

    def finish_request(self, conn: Any, fs: "Future[Any]") -> None:
        """A thread has answered a request: take the connection back."""
        if not self._is_plain:
            super().finish_request(conn, fs)
            return
        keeps = not fs.cancelled() and fs.exception() is None and fs.result() is True
        conn.sock = conn.sock.bare()
        try:
            conn.sock.setblocking(False)
        except OSError:  # gunicorn closes it by itself when an application fails after its first bytes
            self.nr_conns -= 1
            return
        self._clients.add(conn)
        if not keeps:
            self._linger(conn)
            return
        conn.give_back(conn.parser.unreader.take_buffered())
        conn.parser = None
        self._rest(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        super()._cap_keepalive(deadline)
        for client in self._clients:
            if client.stage in (Stage.IDLE, Stage.LINGERING):
                client.expires_s = min(client.expires_s, deadline)
