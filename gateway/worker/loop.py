"""The loop worker: plain requests are handled by greenlets of one thread, all others by gunicorn's own thread worker.

The loop receives, recognises (``plain``), and sends; between, gunicorn's own code runs the application, so hooks, access log,
limits and the rules for answers are its own. What is not plain, or large, goes to a thread with the bytes that have come, and
the connection comes back when it is answered. A slow client costs no thread as long as what it sends is plain.
"""

import errno
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property, partial
from typing import Any

from gunicorn import http
from gunicorn.glogging import Logger
from gunicorn.http2 import negotiation
from gunicorn.workers.gthread import ThreadWorker

from gateway.worker.client import Client, Stage
from gateway.worker.client_loop import ClientLoop
from gateway.worker.connection import PatientSocket
from gateway.worker.exchange import Exchange
from gateway.worker.plain import Head, Heads, Incomplete, PlainRequest, is_within
from gateway.worker.plain_answer import answer

_SMALL_BODY_BYTES = 65536  # handled in the loop; decoding a larger one would keep the others waiting
_RECEIVED_BYTES = 1 << 20  # a larger body is read by the thread that handles it
_ALL_RECEIVED_BYTES = 64 << 20
_SLOW_GETS = 4


class LoopWorker(ClientLoop):
    """gunicorn's thread worker with a loop before it.

    ``runs_in_thread`` tells of a path that its handling takes long.
    """

    max_body_bytes = 1 << 31
    runs_in_thread: Callable[[str], bool] = staticmethod(lambda path: False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._reserved_bytes = 0
        self._in_flight = 0
        self._slow_gets = ThreadPoolExecutor(_SLOW_GETS, "get")
        self._is_plain = self._may_be_plain()
        self._heads = Heads(frozenset(self.cfg.secure_scheme_headers))

    def _may_be_plain(self) -> bool:
        """Whether gunicorn is configured to take what is plain for that."""
        cfg, nobody = self.cfg, ("127.0.0.1", 0)
        if cfg.is_ssl or cfg.proxy_protocol != "off" or cfg.protocol != "http":
            return False
        if negotiation.prior_knowledge_allowed(cfg, nobody) or negotiation.upgrade_allowed(cfg, nobody):
            return False
        return is_within(cfg.limit_request_line, cfg.limit_request_fields, cfg.limit_request_field_size)

    @cached_property
    def _tells_nobody(self) -> bool:
        """Whether nothing is configured that is to learn of each request."""
        hooks = (self.cfg.pre_request, self.cfg.post_request)
        of_its_own = all(hook.__module__ == "gunicorn.config" for hook in hooks)
        is_logged = self.log.access_log_enabled or self.log.error_log.isEnabledFor(logging.DEBUG)
        return of_its_own and not is_logged and type(self.log).access is Logger.access

    def _let_in(self, sock: Any, address: Any, server: Any) -> None:
        if self._is_plain:
            super()._let_in(sock, address, server)
        else:
            self.nr_conns += 1
            self.enqueue_req(Client(self.cfg, sock, address, server))

    def _advance(self, client: Client) -> None:
        """Look at what has come, and begin to handle the request when it is there."""
        head = client.head or self._heads.read(client.data())
        if isinstance(head, Incomplete):
            self._wait_for_more(client)
        elif head is None or (client.head is None and not self._may_receive(head)):
            self._hand_over(client)
        elif client.received >= head.size + head.body_size:
            self._begin(client, head)
        elif client.head is None:
            client.head = head
            self._reserved_bytes += head.body_size
            self._wait_for_more(client)

    def _wait_for_more(self, client: Client) -> None:
        if client.stage is Stage.IDLE:
            client.wait(Stage.RECEIVING, self.read_timeout_s)

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
        if self._in_flight >= self.max_in_flight and head.method == "POST":
            self._refuse(client, head, closes=head.closes or self.is_draining or not self.alive)
            return
        request = PlainRequest(self.cfg, client.client, head, body)
        self._in_flight += 1
        client.stage, client.expires_s = Stage.BUSY, float("inf")
        if self.nr_conns > self.max_keepalived:
            request.force_close()
        if self.runs_in_thread(request.path):
            # Apart from those who may wait for the model: whoever looks for the reason must not wait with them.
            self._slow_gets.submit(self._answer_in_thread, client, request)
        elif head.body_size > _SMALL_BODY_BYTES:
            self.tpool.submit(self._answer_in_thread, client, request)
        else:
            self._to_begin.append(partial(self._hub.spawn, self._answer_in_loop, client, request))

    def _refuse(self, client: Client, head: Head, *, closes: bool) -> None:
        # Busy until that is sent: what the client has sent behind it is not looked at before.
        client.stage, client.expires_s = Stage.BUSY, float("inf")
        client.closes_after = closes
        self._send_soon(client, [self.refuse(head, closes)])

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

    def handle_request(self, req: Any, conn: Any) -> bool:
        """As gunicorn; for a plain request without looking for hooks and an access log where there are none."""
        is_usual = self._tells_nobody and not self.is_draining and self.alive and self._keepalive_s
        if not is_usual or type(req) is not PlainRequest or self.nr + 1 >= self.max_requests:
            return bool(super().handle_request(req, conn))
        self.nr += 1
        return answer(req, conn, self.application, self.cfg, self.log)

    def _deliver(self, client: Client, exchange: Exchange, keeps: bool) -> None:
        self._in_flight -= 1
        client.closes_after = not keeps
        self._send_soon(client, exchange.parts)

    def _end(self, client: Client) -> None:
        self._hand_over(client)

    def _give_up(self, client: Client) -> None:
        if client.head is None:
            self._linger(client)
        else:
            # The application tells the client that its body did not arrive in time, which takes no time.
            self._begin_in_thread(client)

    def _let_go(self, client: Client) -> None:
        super()._let_go(client)
        self._forget_head(client)

    def _hand_over(self, client: Client) -> None:
        """Let gunicorn's own code, in a thread, go on with what has come, unless too many wait for one."""
        head = self._one_too_many(client.data())
        if head is not None:
            self._forget_head(client)
            self._refuse(client, head, closes=True)
        else:
            self._begin_in_thread(client)

    def _begin_in_thread(self, client: Client) -> None:
        self._let_go(client)
        client.sock = PatientSocket(client.sock, self.read_timeout_s)
        client.data_ready = True
        client.initialized = False
        client.parser = http.get_parser(self.cfg, client.sock, client.client)
        client.parser.unreader.unread(client.take_all())
        self._wait_for_thread(client)

    def handle(self, conn: Any) -> Any:
        """As in the thread worker; what a request has waited in the loop is part of its time."""
        if not self._is_plain or conn.stage is not Stage.RECEIVING:
            return super().handle(conn)
        conn.sock.leave_queue()
        conn.sock.patience_ends_s = conn.expires_s
        return ThreadWorker.handle(self, conn)

    def finish_request(self, conn: Any, fs: "Future[Any]") -> None:
        """A thread has answered a request: take the connection back."""
        if not self._is_plain:
            super().finish_request(conn, fs)
            return
        self._handed_over -= 1
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
