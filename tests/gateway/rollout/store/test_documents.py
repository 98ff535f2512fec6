"""Values come back from their JSON text as they were."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rollout.evidence.totals import POINTS, Totals
from gateway.rollout.plan import OnBad, State, Tolerance
from gateway.rollout.store.documents import event_of, json_of, plan_of, text_of, totals_of
from tests.gateway.rollout.store.making import a_plan, an_event

_FIELDS = Totals()
_COUNTS = [name for name in Totals.__struct_fields__ if isinstance(getattr(_FIELDS, name), int)]
_WEIGHTS = [name for name in Totals.__struct_fields__ if name not in _COUNTS]
_WEIGHT = st.floats(allow_nan=False, max_value=1e300) | st.just(-math.inf)


def test_a_plan_comes_back_with_every_field():
    plan = a_plan(state=State.HOLDING, on_bad=OnBad.FREEZE, stable=None, tolerances={"scores": Tolerance(0.5, 1e-9)})
    assert plan_of(text_of(plan)) == plan


def test_an_event_comes_back_with_its_evidence():
    event = an_event(a_plan(), evidence={"bad": [1, 2.5], "of": None, "metric": "error"}, reason='Ü\0"')
    assert event_of(text_of(event)) == event


@given(
    st.fixed_dictionaries(
        {name: st.integers(0, 2**60) for name in _COUNTS}
        | {name: st.lists(_WEIGHT, min_size=POINTS, max_size=POINTS) for name in _WEIGHTS}
    )
)
def test_sums_come_back_exactly_with_impossible_alternatives_too(values):
    assert totals_of(text_of(Totals(**values))) == Totals(**values)


def test_what_a_later_gateway_added_is_passed_over():
    plan = a_plan()
    text = text_of(msgspec.to_builtins(plan) | {"colour": "green"})
    assert plan_of(text) == plan


@pytest.mark.parametrize("text", ["", "[]", '{"id": 3}', text_of({"state": "melting"})])
def test_a_text_that_is_no_plan_is_refused(text):
    with pytest.raises(msgspec.MsgspecError):
        plan_of(text)


def test_a_sample_is_any_object():
    assert json_of(text_of({"output": "scores", "stable": [1.5, None]})) == {"output": "scores", "stable": [1.5, None]}
