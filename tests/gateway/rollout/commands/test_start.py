"""``rollout start``: what its options make of a plan, what it refuses, and what it shows."""

import pytest

from gateway.rollout import changes
from gateway.rollout.orders import Order, obey
from gateway.rollout.plan import ANY_OUTPUT, OnBad, State, Step, Tolerance


def test_a_draft_is_in_the_database_and_says_who_asked_for_it(desk):
    plan = desk.begin()
    assert (plan.model, plan.canary, plan.state, plan.stable) == ("digits", 2, State.DRAFT, None)
    [event] = desk.store.history("digits", 10)
    assert (event.plan, event.what, event.by, event.after) == (plan.id, "start", plan.author, "draft")


def test_every_option_reaches_the_plan(desk):
    plan = desk.begin(
        "digits",
        *("--stable", "1", "--steps", "0.5%:90s,20%:manual", "--shadow", "20%", "--sticky", "header:X-User"),
        *("--on-bad", "freeze", "--alpha", "0.05", "--error-ratio", "2", "--slow-ratio", "3"),
        *("--most-disagreement", "0.02", "--most-bad", "0.01", "--keep-old", "1h"),
        *("--tolerance", "1e-2,1e-4", "--tolerance", "probabilities=0.1,0.2"),
        *("--no-second-opinion", "--low-traffic", "--again", "--back"),
    )
    assert plan.stable == 1
    assert plan.steps == (Step(5000, 90), Step(200_000, 0, is_manual=True))
    assert (plan.shadow, plan.mode, plan.on_bad, plan.keep_old_s) == (200_000, "header:x-user", OnBad.FREEZE, 3600)
    assert (plan.alpha, plan.error_ratio, plan.slow_ratio) == (0.05, 2.0, 3.0)
    assert (plan.most_disagreement, plan.most_bad, plan.least_cells) == (0.02, 0.01, 20)
    assert plan.tolerances == {ANY_OUTPUT: Tolerance(1e-2, 1e-4), "probabilities": Tolerance(0.1, 0.2)}
    assert (plan.has_second_opinion, plan.is_again, plan.is_back) == (False, True, True)


def test_without_options_the_plan_is_the_default_one(desk):
    plan = desk.begin()
    assert plan.tolerances == {ANY_OUTPUT: Tolerance()}
    assert (plan.has_second_opinion, plan.is_again, plan.is_back, plan.least_cells) == (True, False, False, 200)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--steps", "50%,10%"),
        ("--shadow", "twenty"),
        ("--sticky", "cookie"),
        ("--alpha", "0.5"),
        ("--error-ratio", "0.5"),
        ("--keep-old", "ten minutes"),
        ("--tolerance", "much"),
        ("--tolerance", "a=-1,0"),
        ("--canary", "-1"),
        ("--stable", "2"),
    ],
)
def test_what_makes_no_plan_is_told_by_its_option(desk, option, value):
    desk.follow()
    code, _, told = desk.run("start", "digits", "--canary", "2", "--no-watch", option, value)
    assert code == 2
    assert option in told
    assert "expected" in told or "not in the range" in told
    assert desk.plan() is None


def test_all_that_is_wrong_is_told_at_once(desk):
    _, _, told = desk.run("start", "digits", "--canary", "2", "--alpha", "9", "--steps", "none", "--no-watch")
    assert "--alpha: expected" in told
    assert "--steps: expected" in told


def test_a_second_rollout_of_a_model_is_refused_and_the_way_out_is_named(desk):
    desk.begin()
    code, _, told = desk.run("start", "digits", "--canary", "3", "--no-watch")
    assert code == 1
    assert "rollout of version 2" in told
    assert "`rollout abort digits`" in told


@pytest.mark.parametrize(
    ("state", "way"),
    [
        (State.RUNNING, "`rollout abort digits` ends it"),
        (State.PROMOTING, "`rollout undo digits` ends it"),
        (State.BAKE_AFTER, "`rollout undo digits` or `rollout clean digits` ends it"),
        (State.ROLLING_BACK, "It ends by itself in a moment"),
    ],
)
def test_the_way_out_that_is_named_can_be_gone(desk, state, way):
    plan = desk.running()
    desk.change(plan, changes.change(plan, plan.created_us + 1, "test", state=state))
    code, _, told = desk.run("start", "digits", "--canary", "3", "--no-watch")
    assert (code, way in " ".join(told.split())) == (1, True)


def test_after_an_abort_a_new_one_keeps_the_version_that_was_pinned(desk):
    desk.running()
    desk.run("abort", "digits")
    assert desk.run("start", "digits", "--canary", "3", "--no-watch")[0] == 0
    assert (desk.plan().canary, desk.plan().stable) == (3, 1)


def ended(desk, plan, state):
    """What a gateway makes of a draft later."""
    change = changes.refused(plan, "version 2 of digits is not there", plan.created_us + 1)
    if state is State.ABORTED:
        change = obey(plan, Order.ABORT, plan.created_us + 1, "somebody")
    desk.change(plan, change)


@pytest.mark.parametrize("state", [State.REFUSED, State.ABORTED])
def test_it_shows_the_rollout_until_it_has_ended_and_fails_if_the_canary_was_not_promoted(desk, state):
    desk.meanwhile = lambda: ended(desk, desk.plan(), state)
    code, shown, told = desk.run("start", "digits", "--canary", "2")
    assert code == 1
    assert "draft" in shown
    assert state in shown
    assert "began rollout" in told


def test_ctrl_c_ends_the_view_and_not_the_rollout(desk):
    def interrupt():
        raise KeyboardInterrupt

    desk.meanwhile = interrupt
    code, _, told = desk.run("start", "digits", "--canary", "2")
    assert code == 130
    assert "the rollout goes on" in told
    assert "rollout abort digits" in told
    assert desk.plan().state is State.DRAFT


@pytest.mark.parametrize("environment", [{}, {"DATABASE_URL": "off"}])
def test_without_a_database_the_settings_are_named(desk, environment):
    desk.environment = environment
    code, _, told = desk.run("start", "digits", "--canary", "2")
    assert code == 2
    assert "GATEWAY_STATE_DIR or DATABASE_URL" in told


def test_a_folder_that_cannot_be_used_is_told_in_one_line(desk, tmp_path):
    desk.environment = {"GATEWAY_STATE_DIR": str(tmp_path / "file")}
    (tmp_path / "file").write_text("no folder")
    code, _, told = desk.run("start", "digits", "--canary", "2")
    assert code == 1
    assert told.startswith("Error: GATEWAY_STATE_DIR: expected a folder that can be used: ")
    assert len(told.splitlines()) == 1


def test_a_folder_that_is_not_there_yet_is_made(desk, tmp_path):
    desk.environment = {"GATEWAY_STATE_DIR": str(tmp_path / "new" / "state")}
    assert desk.run("start", "digits", "--canary", "2", "--no-watch")[0] == 0
    assert (tmp_path / "new" / "state" / "state.db").stat().st_mode & 0o777 == 0o600


def test_a_database_that_no_gateway_has_used_is_told_at_once(desk, tmp_path):
    told = desk.run("start", "digits", "--canary", "2", "--no-watch")[2]
    assert "no gateway follows this database, sqlite:///" in told
    assert "GATEWAY_STATE_DIR or DATABASE_URL" in told


def test_a_gateways_database_is_not_complained_of(desk):
    desk.follow()
    assert "no gateway follows" not in desk.run("start", "digits", "--canary", "2", "--no-watch")[2]


def test_a_model_that_the_model_config_file_does_not_have_is_refused_at_once(desk, tmp_path):
    desk.environment |= {"GATEWAY_MODEL_CONFIG_FILE": str(tmp_path / "models.config")}
    desk.models = ("digits", "dense")
    desk.follow()
    code, _, told = desk.run("start", "nope", "--canary", "2")
    assert code == 1
    assert f"there is no model nope in {tmp_path}/models.config" in told
    assert "there are: dense, digits" in told
    assert desk.plan("nope") is None
    assert desk.run("start", "digits", "--canary", "2", "--no-watch")[0] == 0


def test_who_does_not_watch_is_told_where_to_see_whether_it_began(desk):
    told = desk.run("start", "digits", "--canary", "2", "--no-watch")[2]
    assert "`python -m gateway rollout status digits` tells whether it could begin" in told
