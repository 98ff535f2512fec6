"""What becomes of a wish for a rollout."""

import json

import msgspec
import pytest

from gateway.rollout.plan import ANY_OUTPUT, Hold, OnBad, Plan, State, Step, Tolerance
from gateway.rollout.starting import Unfit, Wanted, WantedTolerance, plan_of, read_wanted
from tests.gateway.rollout.plans import NOW, plan

MEMBERS = ", ".join(field.name for field in msgspec.structs.fields(Wanted))


def made(previous: Plan | None = None, **wanted) -> Plan:
    return plan_of("digits", Wanted(canary=wanted.pop("canary", 3), **wanted), "ada", NOW, previous)


def problems(previous: Plan | None = None, **wanted) -> dict[str, tuple[str, str]]:
    with pytest.raises(Unfit) as raised:
        made(previous, **wanted)
    return {problem.pointer: (problem.expected, problem.got) for problem in raised.value.problems}


def test_a_wish_for_a_version_is_enough():
    draft = made()
    assert (draft.model, draft.canary, draft.stable, draft.state, draft.author) == ("digits", 3, None, State.DRAFT, "ada")
    assert draft.steps == (Step(10_000, 600), Step(100_000, 600), Step(500_000, 600))
    assert (draft.revision, draft.weight, draft.canary_weight, draft.created_us, draft.state_us) == (1, 0, 0, NOW, NOW)
    assert draft.id.startswith("digits-3-")
    assert len(draft.salt) == 16


def test_what_a_wish_leaves_out_is_as_a_plan_has_it():
    draft = made()
    default = Plan(
        id=draft.id,
        model="digits",
        canary=3,
        steps=draft.steps,
        salt=draft.salt,
        author="ada",
        created_us=NOW,
        state_us=NOW,
        step_us=NOW,
    )
    assert draft == default


@pytest.mark.parametrize(
    "wanted",
    [
        *({"steps": steps} for steps in ("0%", "0%:10m", "", "1%:x", "1%:1m:2m", "9%,5%", "100%", ",".join(["1%"] * 60))),
        *({"shadow": share} for share in ("", "200%", ", got ")),
        *({"sticky": mode} for mode in ("", "cookie", "header:", "header:a b", "x, got y")),
        *({"keep_old": time} for time in ("", "31d", "1m, got 2m")),
    ],
    ids=str,
)
def test_what_was_expected_and_what_came_are_told_of_every_text(wanted):
    told = problems(**wanted)
    [name] = wanted
    expected, got = told[f"/{name}"]
    assert expected
    assert got
    assert ", got " not in expected


def test_every_rollout_has_its_own_name_and_callers():
    drafts = [made() for _ in range(20)]
    assert len({draft.id for draft in drafts}) == len({draft.salt for draft in drafts}) == 20


def test_everything_can_be_said():
    draft = made(
        stable=4,
        steps="0%:1m,5%:manual",
        shadow="20%",
        sticky="header:X-User",
        on_bad=OnBad.FREEZE,
        alpha=0.05,
        error_ratio=2,
        slow_ratio=3,
        most_disagreement=0.1,
        most_bad=0.02,
        tolerances={"y": WantedTolerance(0.1, 0.2)},
        second_opinion=False,
        keep_old="1h",
        low_traffic=True,
        again=True,
        back=True,
    )
    assert (draft.stable, draft.shadow, draft.mode, draft.on_bad) == (4, 200_000, "header:x-user", OnBad.FREEZE)
    assert draft.steps == (Step(0, 60), Step(50_000, 0, True))
    assert (draft.alpha, draft.error_ratio, draft.slow_ratio) == (0.05, 2, 3)
    assert (draft.most_disagreement, draft.most_bad, draft.least_cells, draft.keep_old_s) == (0.1, 0.02, 20, 3600)
    assert draft.tolerances == {ANY_OUTPUT: Tolerance(), "y": Tolerance(0.1, 0.2)}
    assert (draft.has_second_opinion, draft.is_again, draft.is_back) == (False, True, True)


@pytest.mark.parametrize(
    ("wanted", "pointer"),
    [
        ({"canary": -1}, "/canary"),
        ({"canary": 2**63}, "/canary"),
        ({"stable": -1}, "/stable"),
        ({"stable": 3}, "/stable"),
        ({"steps": "10%,5%"}, "/steps"),
        ({"steps": ""}, "/steps"),
        ({"shadow": "200%"}, "/shadow"),
        ({"steps": "0%,5%"}, "/shadow"),
        ({"sticky": "cookie"}, "/sticky"),
        ({"keep_old": "long"}, "/keep_old"),
        ({"keep_old": "31d"}, "/keep_old"),
        ({"alpha": 0}, "/alpha"),
        ({"alpha": 0.21}, "/alpha"),
        ({"alpha": float("nan")}, "/alpha"),
        ({"error_ratio": 0.9}, "/error_ratio"),
        ({"slow_ratio": float("inf")}, "/slow_ratio"),
        ({"most_disagreement": 0}, "/most_disagreement"),
        ({"most_bad": 1}, "/most_bad"),
        ({"tolerances": {"a/b": WantedTolerance(-1, 0)}}, "/tolerances/a~1b/rtol"),
        ({"tolerances": {"y": WantedTolerance(0, float("inf"))}}, "/tolerances/y/atol"),
    ],
    ids=str,
)
def test_a_bad_value_is_pointed_at(wanted, pointer):
    assert list(problems(**wanted)) == [pointer]


def test_all_that_is_wrong_is_told_at_once():
    assert set(problems(alpha=1, steps="no", sticky="no", stable=3)) == {"/alpha", "/steps", "/sticky", "/stable"}


def test_a_problem_says_what_was_expected_and_what_came():
    assert problems(alpha=1) == {"/alpha": ("a number over 0, at most 0.2", "1")}
    assert problems(keep_old="x") == {"/keep_old": ("a time from 0s to 30d, such as 10m", "'x'")}


@pytest.mark.parametrize(("state", "pinned"), [(State.ROLLED_BACK, 2), (State.ABORTED, 2), (State.DONE, 3)], ids=str)
def test_what_the_last_rollout_pins_is_taken_over(state, pinned):
    draft = made(plan(state), canary=4)
    assert (draft.stable, draft.kept, draft.stays_open) == (pinned, pinned, True)


def test_a_last_rollout_that_is_closed_pins_nothing():
    draft = made(plan(State.ROLLED_BACK, is_open=False), canary=4)
    assert (draft.stable, draft.stays_open) == (None, False)


def test_another_version_than_the_one_that_is_pinned_is_only_asked_for():
    draft = made(plan(State.ROLLED_BACK), canary=4, stable=1)
    assert (draft.stable, draft.kept, draft.moves_to) == (2, 2, 1)
    assert set(problems(plan(State.ROLLED_BACK), canary=2)) == {"/canary"}
    draft = made(plan(State.ROLLED_BACK), canary=4, stable=2)
    assert (draft.stable, draft.moves_to) == (2, None)
    assert made(canary=4, stable=1).moves_to is made(plan(State.ROLLED_BACK), canary=4).moves_to is None


def test_a_body_has_the_members_of_a_wish():
    body = {"canary": 3, "on_bad": "freeze", "sticky": None, "tolerances": {"y": {"rtol": 0.1}}}
    wanted = read_wanted(json.dumps(body).encode())
    assert (wanted.canary, wanted.on_bad, wanted.tolerances) == (3, OnBad.FREEZE, {"y": WantedTolerance(0.1)})


@pytest.mark.parametrize(
    ("body", "pointer", "expected", "got"),
    [
        ('{"canary": "3"}', "/canary", "`int`", "`str`"),
        ('{"canary": 3, "tolerances": {"y": {"rtol": "x"}}}', "/tolerances", "`float`", "`str`"),
        ("[]", "", "`object`", "`array`"),
        ("{}", "", "the member `canary`", "an object without it"),
        ('{"canary": 3, "x": 1}', "", f"only the members {MEMBERS}", "the unknown member `x`"),
        (
            '{"canary": 3, "stepz": ""}',
            "",
            f"only the members {MEMBERS}",
            "the unknown member `stepz`, which is near to `steps`",
        ),
        (
            '{"canary": 3, "tolerances": {"y": {"rtl": 1}}}',
            "/tolerances",
            "only the members rtol, atol",
            "the unknown member `rtl`, which is near to `rtol`",
        ),
        ('{"canary": 1e400}', "/canary", "a number that fits into 64 bits", "one that is out of range"),
        ('{"canary": 3, "on_bad": "x"}', "/on_bad", "rollback, freeze", "Invalid enum value 'x'"),
    ],
)
def test_a_body_of_other_members_is_pointed_at(body, pointer, expected, got):
    with pytest.raises(Unfit) as raised:
        read_wanted(body.encode())
    [problem] = raised.value.problems
    assert problem.pointer.startswith(pointer)
    assert (problem.expected, problem.got) == (expected, got)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff"])
def test_a_body_that_is_no_json_is_refused(body):
    with pytest.raises(Unfit, match="expected a JSON object"):
        read_wanted(body)


def test_the_draft_holds_for_nothing():
    assert made().hold is Hold.NONE


def test_what_the_rollout_before_left_loaded_goes_with_the_next_one():
    aborted = plan(State.ABORTED, drops_other=False)
    assert made(aborted, canary=4).leaves == (3,)
    assert made(plan(State.ABORTED, stable=1, leaves=(2,)), canary=4).leaves == (2, 3), "what earlier ones left, too"
    assert made(plan(State.DONE, is_open=False), canary=4).leaves == ()
