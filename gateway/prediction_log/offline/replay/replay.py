"""Sends recorded Predict requests to a model server, one after the other."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from gateway.backend.prediction_logs import RecordedPredict
from gateway.backend.servers.balanced import Balanced
from gateway.backend.servers.servers import Servers
from gateway.backend.servers.target import parse_target
from gateway.deadline import Deadline
from gateway.errors import GatewayError
from gateway.inference.signature import ModelRef, Prediction, Signature, Tensors
from gateway.serving_tls import ServingTls

_MOST_ERRORS = 3


@dataclass
class Outcome:
    """What became of the requests. ``errors`` are the first failures, in words; ``others`` were no Predict requests."""

    answered: int = 0
    failed: int = 0
    others: int = 0
    errors: list[str] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)
    versions: set[int] = field(default_factory=set)


async def replay(
    target: str,
    tls: ServingTls | None,
    requests: Iterable[RecordedPredict | None],
    model: str | None,
    version: int | None,
    *,
    compare: Callable[[Tensors | None, Tensors], object],
    timeout_s: float,
) -> Outcome:
    """Send ``requests`` to ``target``, for ``model`` (None: the recorded one) and ``version`` (None: the latest).

    With ``tls`` they go by TLS. ``compare`` gets the outputs of each, as they were recorded and as they are now. A request
    that is None is counted only.
    """
    servers = Servers(parse_target(target), tls, timeout_s=timeout_s)
    servers.start()
    await servers.first_answer()
    client = Balanced(servers)
    outcome = Outcome()
    try:
        for number, recorded in enumerate(requests):
            if recorded is None:
                outcome.others += 1
                continue
            started_s = time.perf_counter()
            try:
                answer = await _answer(client, recorded, ModelRef(model or recorded.model, version), timeout_s)
            except GatewayError as error:
                outcome.failed += 1
                if len(outcome.errors) < _MOST_ERRORS:
                    why = await servers.reason()
                    outcome.errors.append(f"request {number}: {error.code}: {error}{f': {why}' if why else ''}")
                continue
            outcome.took_s.append(time.perf_counter() - started_s)
            outcome.answered += 1
            outcome.versions.add(answer.version)
            compare(recorded.outputs, answer.outputs)
    finally:
        await servers.close()
    return outcome


async def _answer(client: Balanced, recorded: RecordedPredict, model: ModelRef, timeout_s: float) -> Prediction:
    # Only the name of a signature is sent.
    signature = Signature(recorded.signature, "", (), ())
    return await client.predict(model, signature, recorded.inputs, recorded.output_filter, Deadline.after(timeout_s))
