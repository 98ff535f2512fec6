"""What the prediction log keeps of an answered request."""

import pytest

from gateway.call import Answer, Call
from gateway.prediction_log.requests import offer_request
from gateway.telemetry.trace import Trace
from tests.gateway.prediction_log.making import ListSink, a_log


@pytest.mark.parametrize(
    ("rollout", "arm", "expected"),
    [
        ("m-2-abcd", "canary", ("m-2-abcd", "canary")),
        ("m-2-abcd", "baseline", ("m-2-abcd", "baseline")),
        (None, None, (None, "stable")),
    ],
    ids=["canary", "baseline", "no rollout"],
)
def test_a_row_tells_the_rollout_and_its_arm(rollout, arm, expected):
    sink = ListSink()
    log = a_log(sink)
    call = Call("POST", "/v1/models/m:predict", "", {}, b"{}", complete_s=0.0)
    call.id = "of-this-request"
    trace = Trace("m", "serving_default", version=2, is_known=True, rollout=rollout, arm=arm)
    log.start()
    offer_request(log, call, trace, Answer(200, b"{}"), 0.01)
    log.close()
    (row,) = sink.rows
    assert (row.rollout, row.arm) == expected
