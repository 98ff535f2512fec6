"""What is known of a prediction so far, for its log line, its metrics and its answer's headers, also if it fails."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from gateway.telemetry.spans import Spans

TracedTensors: TypeAlias = Mapping[str, Any] | Callable[[], Mapping[str, Any]] | None


class Sender(NamedTuple):
    """Who has sent a prediction, as far as a rollout looks at it.

    ``id``: of the request. ``headers`` by name in lower case. ``client``: the address of the connection, which may be a
    proxy's. ``key``: the name of its API key; None: it has none.
    """

    id: str
    headers: Mapping[str, str]
    client: str
    key: str | None


@dataclass(slots=True)
class Trace:
    """A prediction under way: the names of model and signature that are asked for, and what became of it.

    ``signature`` is the client's own word until ``is_known``, when the version turned out to have it. ``version`` is the one
    that answered, or that is meant to. ``rows`` is dimension 0 of the inputs if all agree.

    Times are in seconds: making tensors, waiting for a batch or for the same call of another request, the backend. ``cache``
    says where the answer came from (hit, miss, shared) and is None when the model's answers are not kept.

    ``inputs`` and ``outputs`` are the tensors by name, as far as there are any, or what makes them. ``batch_rows``: of the call
    that answered, which other requests may have shared; None when there was none for this request. ``when_built`` is called
    once, with the rows (1 where they do not agree), when they are known and the model has not been asked yet; what it raises
    refuses the request. ``is_logged``: whether the request may have a row in the prediction log.

    ``built_s`` and ``answered_s`` are when the tensors were made and when the backend had answered, with a result or an error,
    in seconds of ``time.monotonic``; 0.0 until then. ``spans``: the one of the request, for its calls; none without traces.

    ``sender``: None for what no client has sent. Of a rollout, and None without one: its id (``rollout``), the ``arm`` of it
    that the request belongs to, and what the caller should know (``note``), such as that another version had to answer.
    """

    model: str
    signature: str
    version: int | None = None
    is_known: bool = False
    rows: int | None = None
    build_s: float = 0.0
    queue_s: float = 0.0
    backend_s: float = 0.0
    cache: str | None = None
    inputs: TracedTensors = None
    outputs: TracedTensors = None
    batch_rows: int | None = None
    when_built: Callable[[int], None] | None = None
    is_logged: bool = True
    built_s: float = 0.0
    answered_s: float = 0.0
    spans: Spans = ()
    sender: Sender | None = None
    rollout: str | None = None
    arm: str | None = None
    note: str | None = None

    def tell_rows(self) -> None:
        """Call ``when_built``, once: a request is built a second time when another version has come meanwhile."""
        when_built, self.when_built = self.when_built, None
        if when_built is not None:
            when_built(self.rows or 1)
