"""Whatever is ordered, decided and found, in whatever order: what always holds of a rollout."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.rollout.changes import Change, accepted, loaded, refused, warmed
from gateway.rollout.decision import Facts, FileState, decide
from gateway.rollout.evidence.totals import Totals
from gateway.rollout.orders import Order, OrderRefused, obey
from gateway.rollout.plan import ENDED, SHARING, WHOLE, Hold, OnBad, Plan, State, Step
from tests.gateway.rollout.plans import NOW, SECOND, plan, proven, sound, suspicious

FACTS = st.builds(
    Facts, is_loaded=st.booleans(), missing=st.just("?"), file=st.sampled_from(FileState), workers_seen=st.booleans()
)
EVIDENCE = st.sampled_from([Totals(), sound(10), sound(400, 0.01), sound(400, 0.1), sound(400, 0.5), suspicious(), proven()])
RAISES = {Order.STEP, Order.WEIGHT, Order.PROMOTE}
STEPS = st.sampled_from(
    [
        (Step(10_000, 60), Step(100_000, 60), Step(500_000, 60)),
        (Step(0, 10), Step(10_000, 0, True), Step(500_000, 60)),
        (Step(100_000, 0),),
    ]
)


class Rollout(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.by_step: dict[int, Totals] = {}

    @initialize(steps=STEPS, on_bad=st.sampled_from(OnBad), pinned=st.booleans())
    def begin(self, steps, on_bad, pinned):
        self.plan = plan(State.DRAFT, steps=steps, on_bad=on_bad, stays_open=pinned, shadow=WHOLE)

    def follow(self, change: Change, may_raise: bool = False) -> None:
        before, (after, event) = self.plan, change
        assert after.revision == event.revision == before.revision + 1
        assert (after.id, after.salt, after.canary, after.stable) == (before.id, before.salt, 3, 2)
        if before.state in ENDED:
            assert after.state is before.state
        if after.canary_weight > before.canary_weight:
            back = before.hold is Hold.NOT_LOADED and after.canary_weight == before.weight
            first = before.state is State.WARMING and after.canary_weight == before.current.weight
            assert may_raise or back or first
        if after.is_open and after.is_sharing:
            assert after.hold is Hold.NONE or after.state in (State.HOLDING, State.PAUSED)
        self.plan = after

    @rule(order=st.sampled_from(Order), weight=st.integers(1, WHOLE - 1))
    def order(self, order, weight):
        try:
            change = obey(self.plan, order, self.now, "ada", weight=weight if order is Order.WEIGHT else None)
        except OrderRefused:
            return
        self.follow(change, may_raise=order in RAISES)

    @rule(facts=FACTS)
    def decide(self, facts):
        found = decide(self.plan, self.by_step, facts, self.now)
        if found is None:
            return
        before = self.plan
        was_baked = self.now - before.step_us >= before.current.bake_s * SECOND
        can_step = before.is_sharing and before.state is not State.PAUSED and not before.current.is_manual and was_baked
        self.follow(found, may_raise=can_step)

    @rule(facts=FACTS)
    def the_same_facts_come_to_a_rest(self, facts):
        for _ in range(len(self.plan.steps) + 6):
            found = decide(self.plan, self.by_step, facts, self.now)
            if found is None:
                return
            self.follow(found, may_raise=True)
        raise AssertionError(f"no rest: {self.plan}")

    @rule(seconds=st.sampled_from([1, 5, 60, 200, 700]))
    def time_goes_on(self, seconds):
        self.now += seconds * SECOND

    @rule(totals=EVIDENCE)
    def requests_come(self, totals):
        self.by_step[self.plan.step] = self.by_step.get(self.plan.step, Totals()) + totals

    @precondition(lambda self: self.plan.state in (State.DRAFT, State.LOADING, State.WARMING))
    @rule(fails=st.sampled_from([False, False, False, True]))
    def a_gateway_works_on_it(self, fails):
        if fails:
            self.follow(refused(self.plan, "no", self.now))
        elif self.plan.state is State.DRAFT:
            self.follow(accepted(self.plan, {"stable": 2}, self.now))
        else:
            self.follow((loaded if self.plan.state is State.LOADING else warmed)(self.plan, self.now))

    @invariant()
    def the_way_back_never_leads_to_the_canary(self):
        one = self.plan
        if one.state in (State.ROLLING_BACK, State.ROLLED_BACK, State.ABORTED, State.REFUSED):
            assert (one.kept, one.canary_weight) == (2, 0)
        if one.is_open and one.drops_other:
            assert one.versions == (one.kept,)

    @invariant()
    def the_weight_is_that_of_the_state(self):
        one: Plan = self.plan
        assert 0 <= one.canary_weight <= WHOLE
        if one.state in SHARING:
            assert one.weight == one.current.weight
            assert one.canary_weight == (0 if one.hold is Hold.NOT_LOADED else one.weight)
        if one.state in (State.DRAFT, State.LOADING, State.WARMING):
            assert one.canary_weight == 0

    @invariant()
    def the_weights_of_the_steps_to_come_rise(self):
        weights = [step.weight for step in self.plan.steps[self.plan.step :]]
        assert weights == sorted(set(weights))

    @invariant()
    def what_is_frozen_is_told(self):
        if self.plan.is_frozen:
            assert self.plan.state in (State.HOLDING, State.PAUSED)
            assert self.plan.hold in (Hold.FROZEN, Hold.NOT_LOADED)

    @invariant()
    def what_was_pinned_stays_pinned_until_it_is_cleaned(self):
        if self.plan.stays_open and not self.plan.is_open:
            assert self.plan.drops_other


TestRollout = Rollout.TestCase
TestRollout.settings = settings(max_examples=150, stateful_step_count=40, deadline=None, database=None)
