"""The loop itself: who is connected, what has come from them, and what they are still to be sent.

What a request is, and how it is answered, is the worker's (``loop``): it is told when something has come, or when nothing more
will.
"""

import errno
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER

from gateway.hub import Hub
from gateway.worker.client import Client, Stage
from gateway.worker.thread import DrainingWorker

_SWEEP_S = 0.1
_NOTICE_S = 1.0
# Of requests that are begun before those who have sent something meanwhile are looked at: a full batch, as it usually is.
_BEGUN_IN_A_ROW = 64
_BEGUN_WITHIN_S = 0.01
_EVENTS_OF_A_LONG_TURN = 64
_ACCEPTS_OF_A_LONG_TURN = 512
_ACCEPTS_AT_WORK = 16
_SENT_WITHIN_S = 0.003
_LINGER_S = STOP_KEEPALIVE_LINGER  # as long as gunicorn.util.close_graceful
_LINGER_BYTES = 65536
_AHEAD_BYTES = 65536  # what a client may send ahead while it is answered


class ClientLoop(DrainingWorker):
    """A worker with a loop that serves its clients. ``_advance``, ``_end`` and ``_give_up`` are the worker's own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._hub = Hub()
        self._clients: set[Client] = set()
        self._events = 0  # of this turn
        self._to_send: list[tuple[Client, list[bytes]]] = []
        self._send_by_s = 0.0
        self._to_begin: deque[Callable[[], None]] = deque()
        self._keepalive_s = self.cfg.keepalive
        self._next_sweep_s = 0.0
        self._next_notice_s = 0.0

    def _advance(self, client: Client) -> None:
        """Something has come."""
        raise NotImplementedError

    def _end(self, client: Client) -> None:
        """Nothing more will come, and what has is not yet a request."""
        raise NotImplementedError

    def _give_up(self, client: Client) -> None:
        """A request did not come in time."""
        raise NotImplementedError

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
        """One turn of the loop: all who have sent something are looked at, and then a few requests are begun.

        So who is one too many learns it at once, however much there is to do for others.
        """
        hub = self._hub
        longest_s = 0.0 if self._to_begin else min(timeout, _SWEEP_S) if self._clients else timeout
        try:
            events = self.poller.select(hub.fall_asleep(longest_s))
        except InterruptedError:
            events = []
        hub.wake_up()
        self._events = len(events)
        for key, _ in events:
            key.data(key.fileobj)
        self._begin_some()
        hub.run_due()
        self._send_answers()
        if hub.is_idle_work_overdue() or not (events or self._to_begin):
            hub.run_idle()
        now_s = time.monotonic()
        if now_s >= self._next_sweep_s:
            self._next_sweep_s = now_s + _SWEEP_S
            self._sweep(now_s)

    def _begin_some(self) -> None:
        until_s = time.monotonic() + _BEGUN_WITHIN_S
        for _ in range(min(len(self._to_begin), _BEGUN_IN_A_ROW)):
            self._to_begin.popleft()()
            if time.monotonic() >= until_s:
                return

    def accept(self, listener: socket.socket) -> None:
        """Take new connections in: one, so that idle workers share them, some when there is work, and in a long turn all."""
        for _ in range(self._accepts_in_a_row()):
            if self.nr_conns >= self.worker_connections:
                return
            try:
                sock, address = listener.accept()
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                    raise
                return
            self._let_in(sock, address, listener.getsockname())

    def _accepts_in_a_row(self) -> int:
        if self._events >= _EVENTS_OF_A_LONG_TURN:
            return _ACCEPTS_OF_A_LONG_TURN
        return _ACCEPTS_AT_WORK if self._to_begin else 1

    def _let_in(self, sock: socket.socket, address: Any, server: Any) -> None:
        self.nr_conns += 1
        client = Client(self.cfg, sock, address, server)
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
            self._end(client)
        else:
            self._drop(client)

    def _on_writable(self, client: Client, sock: Any) -> None:
        if client in self._clients:
            self._send(client, [])

    def _send_soon(self, client: Client, parts: list[bytes]) -> None:
        """Send an answer, together with others of this turn: clients that are woken one by one cost the sender dearly."""
        now_s = time.monotonic()
        if not self._to_send:
            self._send_by_s = now_s + _SENT_WITHIN_S
        self._to_send.append((client, parts))
        if now_s >= self._send_by_s:
            self._send_answers()

    def _send_answers(self) -> None:
        to_send, self._to_send = self._to_send, []
        for client, parts in to_send:
            self._send(client, parts)

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
            self._end(client)
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
        if client not in self._clients:
            return  # it went while it was answered
        self._let_go(client)
        self.nr_conns -= 1
        client.close()

    def _let_go(self, client: Client) -> None:
        """The loop has nothing more to do with the client."""
        self._unwatch(client)
        self._clients.discard(client)

    def _sweep(self, now_s: float) -> None:
        for client in [client for client in self._clients if client.expires_s <= now_s]:
            if client.stage is Stage.RECEIVING:
                self._give_up(client)
            else:
                self._drop(client)

    def _cap_keepalive(self, deadline: float) -> None:
        super()._cap_keepalive(deadline)
        for client in self._clients:
            if client.stage in (Stage.IDLE, Stage.LINGERING):
                client.expires_s = min(client.expires_s, deadline)
