"""POST /v1/feedback: what a prediction should have been, for the prediction log."""

import json
import re
from typing import Any, Final

from gateway.api.body import Bodies
from gateway.api.errors import json_answer
from gateway.api.memory import Memory
from gateway.api.routes import Route
from gateway.call import Answer, Call
from gateway.codec.json_text import parse_json
from gateway.codec.problems import Repeating
from gateway.errors import InvalidArgument, MethodNotAllowed, NotFound, Problem, Unavailable
from gateway.prediction_log.feedback import feedback_row
from gateway.prediction_log.log import PredictionLog
from gateway.prediction_log.row import FeedbackRow

_PATH: Final = "/v1/feedback"
# Of other methods than POST. Flask adds HEAD to GET by itself; OPTIONS is for browsers.
_OTHER_METHODS: Final = ("GET", "PUT", "PATCH", "DELETE")
_LONG_NUMBER: Final = re.compile(rb"[0-9]{19}")
_OFF: Final = "feedback goes into the prediction log, which is off: GATEWAY_PREDICTION_LOG is not set"


class Feedback:
    """The handler. ``log``: None when the prediction log is off."""

    def __init__(self, log: PredictionLog | None, bodies: Bodies, memory: Memory) -> None:
        self._log = log
        self._bodies = bodies
        self._memory = memory

    def routes(self) -> list[Route]:
        """The routes."""
        return [
            Route(_PATH, ("POST",), self.feedback, on_loop=True, scope="predict"),
            Route(_PATH, _OTHER_METHODS, self.refuse_method, on_loop=True, scope="predict"),
        ]

    async def refuse_method(self, call: Call) -> Answer:
        """Say which method there is. What TensorFlow Serving says of an unknown path names its own routes only."""
        raise MethodNotAllowed(f"{_PATH} takes POST, not {call.method}", ["POST"])

    async def feedback(self, call: Call) -> Answer:
        """Keep the label of a request for a prediction, whether its row is there yet or not."""
        if self._log is None:
            raise NotFound(_OFF)
        data = await self._bodies.read(call, is_strict=True)
        row = await self._memory.run(len(data), _row, data, call.caller.name or "")
        if not self._log.feedback(row):
            error = Unavailable("the prediction log has no room now")
            raise error.decided_by("GATEWAY_PREDICTION_LOG_QUEUE_BYTES", self._log.max_bytes)
        return json_answer({"request_id": row.request_id, "row": row.row}, 202)


def _row(data: bytes, source: str) -> FeedbackRow:
    document = parse_json(data, strict=True)
    _refuse_repeated_names(document)
    return feedback_row(_with_exact_numbers(document, data), source)


def _with_exact_numbers(document: Any, data: bytes) -> Any:
    """``document``, which was read from ``data``, with its whole numbers as they are: those beyond 64 bits became floats."""
    # Longer ones than Python reads were refused, because no double is as large.
    if not _LONG_NUMBER.search(data):
        return document
    try:
        return json.loads(data)
    except RecursionError:  # it is no label either
        return document


def _refuse_repeated_names(document: Any) -> None:
    values = [document]
    while values:
        value = values.pop()
        if isinstance(value, Repeating):
            problem = Problem("", "each name once", f"a second {value.repeated[0][:40]!r}")
            raise InvalidArgument(str(problem), [problem])
        if isinstance(value, dict | list):
            values.extend(value.values() if isinstance(value, dict) else value)
