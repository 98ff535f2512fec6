"""POST /v1/feedback: what a prediction should have been, for the prediction log."""

from gateway.api.body import Bodies
from gateway.api.errors import json_answer
from gateway.api.routes import Route
from gateway.call import Answer, Call
from gateway.codec.json_text import parse_json
from gateway.errors import NotFound, Unavailable
from gateway.prediction_log.feedback import feedback_row
from gateway.prediction_log.log import PredictionLog


class Feedback:
    """The handler. ``log``: None when the prediction log is off."""

    def __init__(self, log: PredictionLog | None, bodies: Bodies) -> None:
        self._log = log
        self._bodies = bodies

    def routes(self) -> list[Route]:
        """The route."""
        return [Route("/v1/feedback", ("POST",), self.feedback, on_loop=True, scope="predict")]

    async def feedback(self, call: Call) -> Answer:
        """Keep the label of a request for a prediction, whether its row is there yet or not."""
        if self._log is None:
            raise NotFound("feedback goes into the prediction log, which is off here")
        document = parse_json(await self._bodies.read(call, is_strict=True), strict=True)
        row = feedback_row(document, call.caller.name or "")
        if not self._log.feedback(row):
            raise Unavailable("the prediction log has no room now").decided_by("GATEWAY_PREDICTION_LOG_QUEUE_BYTES", "full")
        return json_answer({"request_id": row.request_id, "row": row.row}, 202)
