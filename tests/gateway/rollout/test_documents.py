"""What the documents of a rollout tell a person first."""

import dataclasses

import pytest

from gateway.rollout.documents import status_document
from gateway.rollout.evidence.totals import Totals
from gateway.rollout.orders import UNDONE
from gateway.rollout.plan import State
from tests.gateway.rollout.plans import plan

FAILED = {"request_id": "r", "error": "DATA_LOSS", "message": "no header"}


def summary(samples=(), **values) -> str:
    return status_document(dataclasses.replace(plan(), **values), {0: Totals()}, [], samples)["summary"]


def test_of_a_canary_that_was_taken_back_it_tells_what_failed_who_answered_and_what_is_to_do():
    told = summary([{"unused_tolerances": ["x"]}, FAILED], state=State.ROLLED_BACK, reason="errors 3 of 3")
    assert told.startswith("Version 3 failed requests and was taken back, such as DATA_LOSS: no header.")
    assert "Every request goes to version 2 again. Version 2 answered the requests" in told
    assert told.endswith("The order clean unloads version 3 when nobody needs it any more.")


def test_without_second_opinions_nobody_has_answered_instead():
    assert "answered" not in summary(state=State.ROLLED_BACK, has_second_opinion=False)


def test_a_promotion_that_a_person_undid_is_no_failure():
    told = summary(state=State.ROLLING_BACK, reason=f"{UNDONE} ann")
    assert told == "The promotion of version 3 was undone: every request goes to version 2 again."


@pytest.mark.parametrize("state", [State.RUNNING, State.DONE, State.ABORTED])
def test_other_plans_have_none(state):
    assert summary([FAILED], state=state) == ""
