"""A request and a reply of HTTP as values: all that the server and the routes share."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Final, Protocol, TypeAlias

from gateway.deadline import Deadline
from gateway.errors import Setting
from gateway.telemetry.spans import RequestSpan
from gateway.telemetry.trace import Sender, Trace

ENVIRON_KEY: Final = "gateway.call"
"""The key of a WSGI environment under which our own server gives the call that it was made from."""


KEYLESS_SCOPES: Final = ("predict", "metadata")
"""What everybody may do where there are no keys."""


class Caller(Protocol):
    """Who sends a call, and what it may do. ``name``: of its key; None: it has none."""

    name: str | None

    @property
    def scopes(self) -> tuple[str, ...]:
        """What it may do: some of the scopes of keys."""

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the models that it may use, or patterns with ``* ? []``."""

    def may_see(self, model: str) -> bool:
        """Whether it may know of ``model``."""

    def enter(self, call: "Call", trace: Trace) -> None:
        """Its call for a prediction begins. Raises PermissionDenied and RateLimited."""

    def headers(self) -> Sequence[tuple[str, str]]:
        """What its answer says of its limits."""


class Anybody:
    """A caller where there are neither keys nor limits."""

    name: str | None = None
    scopes: tuple[str, ...] = KEYLESS_SCOPES
    models: tuple[str, ...] = ("*",)

    def may_see(self, model: str) -> bool:
        """It may know of every model."""
        return True

    def enter(self, call: "Call", trace: Trace) -> None:
        """It may begin."""

    def headers(self) -> Sequence[tuple[str, str]]:
        """None."""
        return ()


ANYBODY: Final = Anybody()


@dataclass(slots=True, eq=False, repr=False)
class Call:
    """A request that has come whole, and what is known of it while it is answered.

    - ``method`` as it was sent; ``path`` as it was sent, with its percent escapes; ``query`` what follows the first ``?``.
    - ``headers`` by name in lower case; the values of a repeated one are joined with ``", "``. As text, by latin-1.
    - ``body`` less its transfer coding. It may still be compressed (``Content-Encoding``).
    - ``complete_s``: when its last byte came, in seconds of ``time.monotonic``.
    - ``scheme`` (``http``, ``https``) and ``client`` (an address without its port), for whom it may concern.

    The edge (``api/edge.py``) sets ``id`` and ``deadline`` before a handler sees the call, and ``span`` where there are traces.
    A handler sets ``trace`` and ``parse_s`` (the seconds that its body took to be read as JSON, from ``parse_started_s`` on),
    and adds to ``when_answered`` what is to be done then, such as to give back what the call holds. ``error_code`` and
    ``setting`` are those of the error that answers it.

    ``caller`` is set before the handler is called, where there are keys or limits. ``answered_as`` is the path of TensorFlow
    Serving's dialect that the call is answered as, where ``path`` is another name for it; else empty.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    _: KW_ONLY
    complete_s: float
    scheme: str = "http"
    client: str = ""
    trace: Trace | None = None
    parse_s: float = 0.0
    parse_started_s: float = 0.0
    error_code: str | None = None
    setting: Setting | None = None
    when_answered: tuple[Callable[[], None], ...] = ()
    caller: Caller = ANYBODY
    answered_as: str = ""
    span: RequestSpan | None = None
    id: str = field(init=False)
    deadline: Deadline = field(init=False)

    def begin(self, model: str, signature: str) -> Trace:
        """Begin a prediction. Raises what ``Caller.enter`` raises."""
        trace = self.trace = Trace(model, signature)
        if self.span is not None:
            trace.spans = (self.span,)
        # A value of its own: a call that its trace knows would be a cycle.
        trace.sender = Sender(self.id, self.headers, self.client, self.caller.name)
        self.caller.enter(self, trace)
        return trace

    @property
    def dialect_path(self) -> str:
        """The path that the dialects read."""
        return self.answered_as or self.path

    @property
    def media_type(self) -> str:
        """The Content-Type without its parameters, in lower case; empty when there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class Answer:
    """A whole reply: ``headers`` as they are sent, but for what the server adds (Content-Length, Date, Connection, Server)."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, body: bytes, headers: Sequence[tuple[str, str]] = ()) -> None:
        self.status = status
        self.body = body
        self.headers = list(headers)


Handler: TypeAlias = Callable[[Call], Awaitable[Answer]]
"""What answers a call. It may raise a GatewayError; the edge makes an answer of it."""
