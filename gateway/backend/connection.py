"""The connection to the model server: its channel, which changed certificates replace, and why it does not stand.

A channel belongs to the process and the event loop that opened it: open it after the fork.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import grpc
from grpc import aio

from gateway.backend.channel.link import Link
from gateway.backend.channel.reasons import reason_of, unanswered
from gateway.certificates import FileMarks
from gateway.serving_tls import BadFiles, ServingTls
from gateway.telemetry.logs import logger

log = logger("backend")

_OPTIONS: Final[tuple[tuple[str, int | str], ...]] = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # The client retries by itself: once, before the request's deadline.
    ("grpc.enable_retries", 0),
    # A server that comes back is found at once, at a new address within a second. (gRPC's "minimum" is how long one attempt to
    # connect may take.)
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 250),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.dns_min_time_between_resolutions_ms", 1000),
    # A server that hangs, or whose host is lost, is noticed too. The catalog's polls keep data flowing between these pings, so
    # that the server does not take them for abuse.
    ("grpc.keepalive_time_ms", 5000),
    ("grpc.keepalive_timeout_ms", 3000),
    ("grpc.http2.ping_timeout_ms", 3000),  # else 60 s count, and of two servers one that hangs gets half of the calls
    # Several replicas behind one name share the calls; one HTTP/2 connection alone would stay with one of them.
    ("grpc.lb_policy_name", "round_robin"),
)

_LOOK_EVERY_S: Final = 0.5
# A call has a deadline of its own, which is an hour away at most (GATEWAY_PREDICT_TIMEOUT_MS).
_LONGEST_CALL_S: Final = 3600.0


class Connection:
    """The connection to ``target`` (``host:port`` or a gRPC target); it is opened again whenever it is lost.

    When the files of ``tls`` (None: no TLS) have changed, another channel is opened with them. It takes the place of the one in
    use as soon as it is connected, or as soon as the one in use has lost its connection.

    ``on_change`` is called whenever ``is_up`` has changed. ``problem`` is why there is no connection, in words that a client
    may see; empty if there is one, or if no setting seems to be the cause.

    ``by_proxy``: whether http_proxy counts, as gRPC has it.
    """

    def __init__(self, target: str, tls: ServingTls | None = None, *, by_proxy: bool = True) -> None:
        self._target = target
        self._options = _OPTIONS if by_proxy else (*_OPTIONS, ("grpc.enable_http_proxy", 0))
        self._tls = tls
        self._marks = FileMarks(tls.paths if tls else [])
        self._use: Callable[[aio.Channel], object] = lambda channel: None
        self._link: Link | None = None
        self._next: Link | None = None
        self._seen = self._told = ""  # the reason of the last look, and the one that was logged
        self._looking: asyncio.Task[None] | None = None
        self._closing: dict[asyncio.Task[None], Link] = {}
        self.is_up = False
        self.problem = ""
        self.on_change: Callable[[], object] = lambda: None

    def open(self, use: Callable[[aio.Channel], object]) -> None:
        """Begin to connect, on the running event loop. ``use`` gets the channel for new calls, now and whenever it changes."""
        self._use = use
        link = self._opened()
        if link is not None:
            self._take(link)
        self._looking = asyncio.get_running_loop().create_task(self._look_again(), name="backend look")

    async def close(self) -> None:
        """Close the channel; calls in flight are cancelled."""
        links = [self._link, self._next, *self._closing.values()]
        tasks = [*self._closing, *([self._looking] if self._looking else [])]
        self._link = self._next = self._looking = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(link.close() for link in links if link is not None))

    async def look(self) -> None:
        """See to files that have changed, and to the reason why there is no connection."""
        if self._marks.have_changed():
            self._renew()
        link = self._next or self._link
        if link is not None:
            self._note_failure(link, await link.failure())

    async def reason(self) -> str:
        """Why there is no connection at this moment, as ``problem`` will say."""
        if self.problem or self._link is None:
            return self.problem
        return reason_of(await self._link.failure(), self._tls)

    def _opened(self) -> Link | None:
        """A new link with what the files hold now; None if they cannot be used, which is logged."""
        if self._tls is None:
            return Link(aio.insecure_channel(self._target, options=self._options), self._follow)
        try:
            pem = self._tls.read()
        except BadFiles as error:
            consequence = "there is no connection" if self._link is None else "the old ones stay in use"
            log.warning("backend.certificate_unusable", reason=str(error), consequence=consequence)
            if self._link is None:
                self.problem = f"the file of {error.setting} cannot be used"
            return None
        named = [("grpc.ssl_target_name_override", self._tls.name)] if self._tls.name else []
        credentials = grpc.ssl_channel_credentials(pem.ca, pem.key, pem.certificate)
        return Link(aio.secure_channel(self._target, credentials, options=[*self._options, *named]), self._follow)

    def _take(self, link: Link) -> None:
        """New calls go to ``link`` from now on; those in flight end where they are."""
        old, self._link, self._next = self._link, link, None
        self.problem = ""
        self._use(link.channel)
        if old is not None:
            self._close_later(old)
        self._note_state()

    def _close_later(self, link: Link) -> None:
        task = asyncio.get_running_loop().create_task(link.close(_LONGEST_CALL_S))
        self._closing[task] = link
        task.add_done_callback(self._closing.pop)

    def _follow(self, link: Link) -> None:
        """Note that the state of ``link`` may be another one."""
        if self._next is not None and (self._next.is_up or not self._is_connected()):
            log.info("backend.certificate_changed", target=self._target)
            self._take(self._next)
        elif link is self._link:
            self._note_state()

    def _is_connected(self) -> bool:
        """Whether the channel in use is connected at this moment."""
        return self._link is not None and self._link.is_ready

    def _note_state(self) -> None:
        is_up = self._link is not None and self._link.is_up
        if is_up == self.is_up:
            return
        self.is_up = is_up
        if is_up:
            self.problem = self._seen = self._told = ""
            log.info("backend.connected", target=self._target)
        else:
            log.warning("backend.disconnected", target=self._target)
        self.on_change()

    async def _look_again(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            await self.look()

    def _renew(self) -> None:
        """Open a channel with the changed files."""
        link = self._opened()
        if link is None:
            return
        if self._next is not None:
            self._close_later(self._next)
        self._next = link
        self._follow(link)

    def _note_failure(self, link: Link, details: str) -> None:
        """Log the reason once. It must be that of two looks: a server that stops can look like one that is set up otherwise."""
        reason, seen = reason_of(details, self._tls), self._seen
        self._seen = reason
        if reason != seen or link.is_up or link not in (self._link, self._next):
            return
        if link is self._link:
            self.problem = reason
        reason = reason or unanswered(details)
        if reason not in ("", self._told):
            in_use = "the old certificates stay in use as long as their connection stands" if link is self._next else ""
            log.warning("backend.cannot_connect", target=self._target, reason=reason, details=details, consequence=in_use)
        self._told = reason
