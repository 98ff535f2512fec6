"""A draft is accepted or refused, and versions are loaded or given up, by a scripted clock."""

import pytest

from gateway.backend.version_policy import VersionPolicy, specific
from gateway.inference.status import ModelStatus
from gateway.rollout.control.loading import FORMER, Loading
from gateway.rollout.control.sight import Sight
from gateway.rollout.control.writing import Attempt
from gateway.rollout.plan import State
from tests.gateway.rollout.control.worlds import NOW, a_plan, status

BOTH = VersionPolicy(specific((2, 3)), (2, 3))
LOADING = a_plan(stable=2, state=State.LOADING)
HERE = "one:8500"
PLACE = "h1:{}"


class Writing:
    """Notes what should be written, and says what a test wants."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.told = 0
        self.last: Attempt | None = None

    def put(self, plan_id, model, source):
        self.written.append(source)

    def tell(self, plan_id, source):
        self.told += 1

    def attempt(self, plan_id):
        return self.last

    def forget_all_but(self, plan_ids):
        pass


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def writing():
    return Writing()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def loading(writing, clock, tmp_path):
    return Loading(writing, tmp_path / "models.config", 600.0, clock, host="h1")


def sight(here, policy=BOTH) -> Sight:
    return Sight({HERE: here}, {}, policy)


def step(loading, seen, plan=LOADING, *, is_everywhere=False):
    return loading.loading(plan, seen, NOW, is_everywhere=is_everywhere)


def test_a_draft_finds_its_stable_and_keeps_what_the_file_said(loading):
    here = sight(status(2), VersionPolicy(specific((2,)), (2,)))
    pinned, event = loading.drafted(a_plan(), here, {}, NOW, is_everywhere=True)
    assert (pinned.state, pinned.stable, event.what) == (State.DRAFT, 2, "pin")
    after, event = loading.drafted(pinned, here, {}, NOW, is_everywhere=True)
    assert (after.state, after.stable) == (State.LOADING, 2)
    assert event.evidence == {FORMER: specific((2,))}
    assert (after.former, after.former_in) == (specific((2,)), PLACE.format(loading._config_file))


def test_nothing_is_loaded_before_every_worker_sends_its_requests_to_stable(loading):
    """To the model server, the latest version is the one that answers."""
    pinned = a_plan(stable=2)
    assert loading.drafted(pinned, sight(status(2)), {}, NOW, is_everywhere=False) is None
    assert loading.drafted(pinned, sight(status(2)), {}, NOW, is_everywhere=True)[0].state is State.LOADING


def test_a_draft_that_answers_alone_is_refused(loading):
    after, _ = loading.drafted(a_plan(), sight(status(3)), {}, NOW, is_everywhere=True)
    assert after.state is State.REFUSED
    assert not after.is_open
    assert "--stable N" in after.reason


def test_a_draft_waits_for_a_server_that_answers(loading):
    after, event = loading.drafted(a_plan(), Sight(silent={HERE: "away"}), {}, NOW, is_everywhere=True)
    assert (after.state, event.what) == (State.DRAFT, "wait")
    assert after.reason == "no model server answers (one:8500: away)"
    assert loading.drafted(after, Sight(silent={HERE: "away"}), {}, NOW, is_everywhere=True) is None


def test_reasons_that_gateways_see_otherwise_do_not_fill_the_history(writing):
    """All of them together say one a minute, and a state that has said nothing yet says it at once."""
    gateways = [Loading(writing, None) for _ in range(3)]
    plan, rows = LOADING, 0
    for second in range(300):
        for number, gateway in enumerate(gateways):
            change = gateway.waits(plan, f"what gateway {number} sees", NOW + second * 1_000_000)
            if change is not None:
                plan, rows = change[0], rows + 1
    assert rows == 5


def test_a_plan_that_ended_says_once_what_it_waits_for_and_keeps_why_it_ended(loading):
    plan = a_plan(stable=2, state=State.ROLLED_BACK, drops_other=True, reason="errors 6 of 9", told_us=NOW - 1)
    after, event = loading.waits(plan, "the file cannot be written", NOW + 1)
    assert (after.reason, event.what, event.reason) == ("errors 6 of 9", "wait", "the file cannot be written")
    assert loading.waits(after, "another gateway's", NOW + 10**12) is None


MOVES = a_plan(stable=1, stays_open=True, moves_to=2, leaves=(4,))  # requests are pinned to version 1


def test_a_pin_moves_to_another_version_once_no_worker_knows_a_server_that_answers_with_its_own(loading):
    here = sight(status(2, v1="END: no such file"))
    assert loading.drafted(MOVES, here, {}, NOW, is_everywhere=False) is None
    after, event = loading.drafted(MOVES, here, {}, NOW, is_everywhere=True)
    assert (after.state, after.kept, after.moves_to, after.leaves, event.what) == (State.DRAFT, 2, None, (1, 4), "pin")
    assert after.stays_open, "requests are pinned, whatever becomes of the rollout"
    assert loading.drafted(after, here, {}, NOW, is_everywhere=True)[0].state is State.LOADING


@pytest.mark.parametrize(
    ("plan", "seen", "failed", "why"),
    [
        (MOVES, sight(status(2, 1)), {}, "version 2 cannot take its place: every request goes to version 1"),
        (MOVES, Sight({HERE: status(2), "two:8500": status(1)}), {}, "every request goes to version 1 since the last rollout"),
        (MOVES, sight(status(2)), {2: a_plan(canary=2, state=State.ROLLED_BACK)}, "the version to go back to, was taken back"),
    ],
    ids=["it answers", "one server has it", "failed"],
)
def test_a_pin_stays_where_it_is_while_any_server_answers_with_that_or_for_a_version_that_failed(
    loading, plan, seen, failed, why
):
    after, event = loading.drafted(plan, seen, failed, NOW, is_everywhere=True)
    assert (after.state, after.kept, after.is_open, event.what) == (State.REFUSED, 1, True, "refuse")
    assert why in after.reason


def test_a_model_that_no_server_here_knows_is_left_to_other_gateways_for_a_while(loading):
    def drafted(plan, seen, waited_s):
        return loading.drafted(plan, seen, {}, NOW + waited_s * 1_000_000, is_everywhere=True)

    unknown = sight(ModelStatus("digits", problem="NOT_FOUND: no such model"))
    assert drafted(a_plan(), unknown, 29) is None
    assert drafted(a_plan(stable=2), unknown, 29) is None
    after, _ = drafted(a_plan(), unknown, 31)
    assert after.state is State.REFUSED
    assert "no version of digits is AVAILABLE" in after.reason
    assert drafted(a_plan(), sight(status(v2="LOADING")), 0)[0].state is State.REFUSED


def test_a_file_that_does_not_say_so_is_written(loading, writing):
    assert step(loading, sight(status(2), VersionPolicy())) is None
    assert writing.written == ["model_version_policy { specific { versions: 2 versions: 3 } }"]


def test_where_it_cannot_be_written_the_entry_is_told_and_the_plan_waits_for_ever(loading, writing, clock):
    writing.last = Attempt(specific((2, 3)), "Read-only file system")
    after, event = step(loading, sight(status(2), VersionPolicy()))
    assert (after.state, event.what) == (State.LOADING, "wait")
    assert (
        "models.config cannot be changed here (Read-only file system): write into the entry of model digits: " in after.reason
    )
    assert after.reason.endswith("model_version_policy { specific { versions: 2 versions: 3 } }")
    clock.now_s = 10_000.0
    assert step(loading, sight(status(2), VersionPolicy()), after) is None
    assert step(loading, sight(status(3, 2)), after, is_everywhere=True)[0].state is State.WARMING


def test_it_goes_on_when_every_worker_has_found_both_versions(loading):
    assert step(loading, sight(status(3, 2))) is None
    assert step(loading, sight(status(3, 2)), is_everywhere=True)[0].state is State.WARMING


def test_what_it_waits_for_is_told_after_a_while(loading, clock):
    assert step(loading, sight(status(2, v3="LOADING"))) is None
    clock.now_s = 16.0
    after, _ = step(loading, sight(status(2, v3="LOADING")))
    assert after.reason == "one:8500 does not serve version 3 (LOADING)"


def test_the_servers_are_told_again_when_nobody_seems_to_have(loading, writing, clock):
    step(loading, sight(status(2, v3="LOADING")))
    clock.now_s = 21.0
    step(loading, sight(status(2, v3="LOADING")))
    assert writing.told == 1
    writing.last = Attempt(specific((2, 3)), is_told=True)
    step(loading, sight(status(2, v3="LOADING")))
    assert writing.told == 1


def test_a_version_that_fails_is_refused_in_the_servers_words_once_that_lasts(loading, clock):
    failed = sight(status(2, v3="END: no such op"))
    assert step(loading, failed) is None
    clock.now_s = 15.0
    after, event = step(loading, failed)
    assert (after.state, event.what) == (State.REFUSED, "refuse")
    assert after.reason == "one:8500: version 3 failed: UNKNOWN: no such op"
    assert after.is_open, "it pins stable until the file is put back"
    assert after.kept == 2


def test_a_version_that_is_not_there_is_refused_in_the_words_of_the_reload(loading, writing, clock):
    writing.last = Attempt(specific((2, 3)), refusals={HERE: "UNKNOWN: NOT_FOUND: no version 3 under /m"})
    step(loading, sight(status(2)))
    clock.now_s = 15.0
    assert step(loading, sight(status(2)))[0].reason == "one:8500: UNKNOWN: NOT_FOUND: no version 3 under /m"


@pytest.mark.parametrize("refusal", ["UNIMPLEMENTED: ", "UNAVAILABLE: away", "DEADLINE_EXCEEDED: late"])
def test_a_server_that_could_not_be_told_is_waited_for(loading, writing, clock, refusal):
    writing.last = Attempt(specific((2, 3)), refusals={HERE: refusal}, is_told=True)
    step(loading, sight(status(2)))
    clock.now_s = 599.0
    assert step(loading, sight(status(2)))[1].what == "wait"
    clock.now_s = 600.0
    after, _ = step(loading, sight(status(2)))
    assert after.state is State.REFUSED
    assert after.reason.startswith("not loaded within 600 s: one:8500 does not serve version 3")
    assert after.reason.endswith(refusal)


def test_the_time_begins_when_the_file_says_so(loading, clock):
    step(loading, sight(status(2), VersionPolicy()))
    clock.now_s = 1000.0
    step(loading, sight(status(2)))
    clock.now_s = 1599.0
    assert step(loading, sight(status(2)))[0].state is State.LOADING


def test_without_a_file_the_operator_is_told_and_waited_for(writing, clock):
    loading = Loading(writing, None, 600.0, clock)
    step(loading, sight(status(2), None))
    clock.now_s = 1000.0
    after, _ = step(loading, sight(status(2), None))
    assert after.state is State.LOADING
    assert "GATEWAY_MODEL_CONFIG_FILE is not set: have the model server keep both by model_version_policy" in after.reason
    assert not writing.written


CLEANED = a_plan(stable=2, state=State.ROLLED_BACK, reason="errors 6 of 9", drops_other=True)
ALONE = VersionPolicy(specific((2,)), (2,))


def let_go(loading, clock, seen):
    """What is said once the plan has waited for long."""
    assert loading.let_go(CLEANED, seen, NOW + 1) is None
    clock.now_s += 15.0
    return loading.let_go(CLEANED, seen, NOW + 1)


@pytest.mark.parametrize(
    ("here", "policy", "why"),
    [
        (status(3, 2), ALONE, "one:8500 still serves version 3"),
        (
            status(),
            ALONE,
            "one:8500 does not serve version 2 (which it does not know); "
            "`rollout start digits` with --stable N sends them to version N",
        ),
        (status(4, 2), ALONE, "one:8500 answers requests that name no version with version 4, not with 2"),
        (
            status(3, 2),
            VersionPolicy("model_version_policy { all {} }"),
            "one:8500 still serves version 3; write into the entry of digits in {file}, which says: "
            "model_version_policy { all {} }: model_version_policy { specific { versions: 2 } }",
        ),
    ],
    ids=["left", "gone", "newer", "changed"],
)
def test_a_clean_that_waits_says_why(loading, clock, here, policy, why):
    after, event = let_go(loading, clock, sight(here, policy))
    file = loading._config_file
    assert (event.what, event.reason) == ("wait", f"requests stay pinned to version 2: {why.replace('{file}', str(file))}")
    assert (after.reason, after.is_open) == ("errors 6 of 9", True)
    assert loading.let_go(after, sight(here, policy), NOW + 2) is None
    assert not loading._writing.written


def test_a_clean_without_a_file_that_waits_says_what_the_operator_must_do(writing, clock):
    _, event = let_go(Loading(writing, None, 600.0, clock), clock, sight(status(3, 2), None))
    assert event.reason.endswith(
        "GATEWAY_MODEL_CONFIG_FILE is not set: have the model server keep only these by "
        "model_version_policy { specific { versions: 2 } }"
    )


def test_a_clean_that_other_workers_are_not_so_far_with_says_nothing(loading, clock):
    assert let_go(loading, clock, sight(status(2), ALONE)) is None


def test_a_plan_that_was_pinned_before_stays_so_when_it_is_refused(loading, clock):
    plan = a_plan(stable=2, state=State.LOADING, stays_open=True)
    step(loading, sight(status(2, v3="END: no")), plan)
    clock.now_s = 15.0
    after, _ = step(loading, sight(status(2, v3="END: no")), plan)
    assert after.is_open


REFUSED = a_plan(stable=2, state=State.REFUSED, reason="no")


def refused(loading, policy, waited_s=0.0, *, plan=REFUSED, here=None, is_everywhere=False):
    seen = sight(here or status(2), policy)
    return loading.refused(plan, seen, NOW + int(waited_s * 1e6), is_everywhere=is_everywhere)


def came_from(loading, former, host="h1", **changes):
    place = f"{host}:{loading._config_file}"
    return a_plan(stable=2, state=State.REFUSED, reason="no", former=former, former_in=place, **changes)


@pytest.mark.parametrize("former", ["", specific((2,))])
def test_a_refused_plan_puts_the_file_back_and_is_let_go(loading, writing, former):
    plan = came_from(loading, former)
    assert refused(loading, BOTH, 1, plan=plan) is None
    assert writing.written == [former]
    back = VersionPolicy(former, (2,) if former else None)
    assert loading.is_put_back(plan, sight(status(2), back))
    assert refused(loading, back, 14, plan=plan, is_everywhere=True) is None, "a server may not have read it yet"
    assert refused(loading, back, 16, plan=plan) is None
    assert writing.written == [former]
    assert refused(loading, back, 16, plan=plan, is_everywhere=True)[0].is_open is False


def test_what_another_gateways_file_said_is_not_written_here(loading, writing):
    """It may let the canary answer, where this one's file named stable."""
    refused(loading, BOTH, plan=came_from(loading, "", host="h2"))
    refused(loading, BOTH, plan=REFUSED)
    assert writing.written == [specific((2,))] * 2


def test_other_versions_stay_after_a_refusal(loading, writing):
    policy = VersionPolicy(specific((1, 2, 3)), (1, 2, 3))
    refused(loading, policy, plan=came_from(loading, "", host="h2", others=(1,)))
    assert writing.written == [specific((1, 2))]


def test_a_stable_that_does_not_answer_is_not_left_alone(loading, writing):
    assert refused(loading, BOTH, here=status(3)) is None
    assert not writing.written


def test_a_refused_plan_pins_stable_for_as_long_as_the_file_names_the_canary_beside_it(loading):
    for policy in (BOTH, VersionPolicy(specific((1, 2, 3)), (1, 2, 3)), None):
        assert not loading.is_put_back(REFUSED, sight(status(2), policy))
    assert refused(loading, BOTH, 100_000) is None


def test_without_a_file_a_refused_plan_pins_stable_while_a_server_has_the_canary(writing, clock):
    loading = Loading(writing, None, 600.0, clock)
    assert not loading.is_put_back(REFUSED, sight(status(3, 2), None))
    assert not loading.is_put_back(REFUSED, Sight())
    assert loading.is_put_back(REFUSED, sight(status(2), None))
    refused(loading, None)
    assert not writing.written


def test_a_file_that_somebody_else_has_changed_is_not_put_back(loading, writing):
    seen = sight(status(2), VersionPolicy("model_version_policy { all {} }"))
    plan = came_from(loading, "")
    loading.refused(plan, seen, NOW, is_everywhere=False)
    assert loading.is_put_back(plan, seen)
    assert not writing.written
