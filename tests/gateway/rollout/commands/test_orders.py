"""The orders of the command line, and what is seen by ``status``, ``history`` and ``explain``."""

import json
import os
import pty
import subprocess
import sys

import pytest

from gateway.rollout import changes
from gateway.rollout.commands.screen import NOBODY_FOLLOWS
from gateway.rollout.documents import event_document
from gateway.rollout.evidence.totals import Totals
from gateway.rollout.orders import Order
from gateway.rollout.plan import Hold, State


@pytest.mark.parametrize(
    ("order", "after"),
    [("pause", State.PAUSED), ("step", State.RUNNING), ("promote", State.PROMOTING), ("abort", State.ABORTED)],
)
def test_an_order_changes_the_plan_and_stands_in_the_history_with_its_note(desk, order, after):
    before = desk.running()
    code, shown, _ = desk.run(order, "digits", "--note", "it is Friday")
    plan = desk.plan()
    assert (code, plan.state, plan.revision) == (0, after, before.revision + 1)
    assert shown.startswith("digits: running")
    event = desk.store.history("digits", 1)[0]
    assert event.by == before.author
    assert event.before.startswith("running")
    assert "it is Friday" in event.reason


def test_a_user_who_is_called_gateway_is_not_taken_for_the_gateway(desk, monkeypatch):
    monkeypatch.setenv("LOGNAME", "gateway")
    assert desk.running().author == "user gateway"
    desk.run("pause", "digits")
    assert "user gateway paused it" in event_document(desk.store.history("digits", 1)[0])["told"]


def test_a_paused_rollout_goes_on_after_resume(desk):
    desk.running()
    desk.run("pause", "digits")
    code, shown, _ = desk.run("resume", "digits")
    assert (code, desk.plan().state) == (0, State.RUNNING)
    assert "version 2 gets 1 % of the requests" in shown


def test_clean_lets_go_of_the_version_that_nobody_is_sent_to(desk):
    desk.running()
    desk.run("abort", "digits")
    code, shown, _ = desk.run("clean", "digits")
    assert (code, desk.plan().drops_other) == (0, True)
    assert "only version 1 stays loaded" in shown


WITH_WEIGHT = [(order, *(["20%"] if order is Order.WEIGHT else [])) for order in Order]


def test_a_weight_is_given_at_once_and_stands_in_the_history_with_who_gave_it(desk):
    before = desk.running()
    code, shown, _ = desk.run("weight", "digits", "12.25%", "--note", "it is Friday")
    assert (code, shown) == (0, "digits: running: version 2 gets 12.25 % of the requests\n")
    plan = desk.plan()
    assert (plan.revision, plan.step, plan.weight) == (before.revision + 1, 1, 122_500)
    assert [step.weight for step in plan.steps] == [10_000, 122_500, 500_000]
    event = desk.store.history("digits", 1)[0]
    assert (event.by, event.what) == (before.author, "weight")
    assert event.reason == "12.25 % of the requests: it is Friday"
    assert "12.25 % of the requests" in desk.run("history", "digits")[1]


@pytest.mark.parametrize(
    ("weight", "told"),
    [
        ("12.345%", "at most two decimals"),
        ("12", "at most two decimals"),
        ("-1%", "No such option"),
        ("101%", "from 0% to 100%"),
        ("0%", "`rollout abort` sends every request to the old version"),
        ("100%", "`rollout promote` sends every request to the new one"),
    ],
)
def test_a_weight_that_cannot_be_says_what_was_expected(desk, weight, told):
    before = desk.running()
    code, _, error = desk.run("weight", "digits", weight)
    assert code == 2
    assert told in " ".join(error.split())
    assert desk.plan() == before


@pytest.mark.parametrize(("order", "given"), [(order, given) for order, *given in WITH_WEIGHT])
def test_an_order_that_means_nothing_now_is_refused_and_changes_nothing(desk, order, given):
    if order is Order.ABORT:
        desk.running()
        desk.run("abort", "digits")
    else:
        desk.begin()
    before = desk.plan()
    code, _, told = desk.run(order, "digits", *given)
    assert code == 1
    assert before.state in told
    assert desk.plan() == before


@pytest.mark.parametrize("command", [*WITH_WEIGHT, ("status",), ("explain",)])
def test_a_model_without_a_rollout_is_told(desk, command):
    desk.begin("dense")
    name, *given = command
    code, _, told = desk.run(name, "digits", *given)
    assert (code, told) == (1, "Error: there is no rollout of digits\n")


def test_an_order_that_no_gateway_will_see_says_so(desk):
    desk.running()
    assert NOBODY_FOLLOWS in desk.run("pause", "digits")[2]
    desk.follow()
    assert NOBODY_FOLLOWS not in desk.run("resume", "digits")[2]


def test_status_shows_the_newest_rollout_of_each_model_or_of_one(desk):
    told = desk.run("status")[2]
    assert "there is no such file" in told
    assert "state.db (GATEWAY_STATE_DIR)" in told
    desk.follow()
    assert desk.run("status")[2] == "there was no rollout yet\n"
    desk.begin("dense")
    desk.running("digits")
    _, both, _ = desk.run("status")
    _, one, _ = desk.run("status", "digits")
    assert "dense" in both
    assert "digits" in both
    assert "running" in one
    assert "dense" not in one


def test_status_as_json_has_the_plan_its_evidence_and_its_followers(desk):
    plan = desk.running()
    desk.follow({(plan.id, 0): Totals(canary_cells=3, canary_errors=1)})
    [status] = json.loads(desk.run("status", "digits", "--json")[1])
    assert (status["id"], status["state"], status["stable"], status["canary"]) == (plan.id, "running", 1, 2)
    assert (status["weight"], status["canary_weight"]) == (0.01, 0.01)
    assert status["steps"][0] | {} == {"weight": 0.01, "bake_s": 600, "is_manual": False}
    assert status["evidence"]["0"]["canary_errors"] == 1
    [worker] = status["workers"]
    assert (worker["host"], worker["pid"], worker["revision"]) == ("here", 1, plan.revision)
    assert status["created"].endswith("Z")
    assert "salt" not in status


def test_status_is_watched_until_the_rollout_has_ended(desk):
    desk.running()
    desk.meanwhile = lambda: desk.store.newest("digits").is_ended or desk.run("abort", "digits")
    code, shown, _ = desk.run("status", "digits", "--watch")
    assert code == 0
    assert "running" in shown
    assert "aborted" in shown


def test_json_cannot_be_watched(desk):
    assert desk.run("status", "--json", "--watch")[0] == 2


def test_the_history_has_the_newest_change_last(desk):
    desk.running("digits")
    desk.begin("dense")
    desk.run("pause", "digits")
    lines = desk.run("history")[1].splitlines()
    assert len(lines) == 6
    assert "digits  pause" in lines[-1]
    assert len(desk.run("history", "dense")[1].splitlines()) == 1
    assert len(desk.run("history", "-n", "2")[1].splitlines()) == 2
    rows = [json.loads(line) for line in desk.run("history", "digits", "--json")[1].splitlines()]
    assert [row["revision"] for row in rows] == [1, 2, 3, 4, 5]
    assert rows[0]["what"] == "start"


def test_the_history_has_plain_words(desk):
    plan = desk.running()
    held = {"state": State.HOLDING, "hold": Hold.NO_DATA, "reason": "r"}
    plan = desk.change(plan, changes.change(plan, plan.created_us, "hold", **held))
    desk.change(plan, changes.change(plan, plan.created_us, "bake_after", state=State.BAKE_AFTER, hold=Hold.NONE))
    first, *_, before, last = desk.run("history", "digits")[1].splitlines()
    assert "- -> draft" in first
    assert "running -> holding (too few requests)" in before
    assert "holding (too few requests) -> promoted (the old version is still loaded)" in last


def test_explain_is_one_sentence(desk):
    desk.running()
    code, shown, _ = desk.run("explain", "digits")
    assert code == 0
    assert len(shown.splitlines()) == 1


def with_samples(desk, number):
    """A rollout of which ``number`` requests were answered differently."""
    plan = desk.running()
    differing = {"output": "probabilities", "how": "3 of 10 values differ", "gap": 1e-3, "stable": "0.5", "canary": "0.501"}
    about = {"ts_us": plan.created_us, "step": 0, "signature": "serving_default"}
    desk.follow(samples=[(plan.id, {"request_id": f"r{n}"} | about | differing) for n in range(number)])
    return plan


def test_status_shows_three_samples_of_answers_that_differed(desk):
    with_samples(desk, 12)
    lines = desk.run("status", "digits")[1].splitlines()
    assert lines[-4] == "  3 of 12 samples of answers that differed:"
    assert ["request r0:" in lines[-3], "request r1:" in lines[-2], "request r2:" in lines[-1]] == [True] * 3
    assert lines[-1].endswith(
        "output probabilities: 3 of 10 values differ, by 0.001 at most (version 1: 0.5, version 2: 0.501)"
    )


def test_explain_shows_ten_samples_and_json_has_all(desk):
    with_samples(desk, 12)
    lines = desk.run("explain", "digits")[1].splitlines()
    assert (len(lines), lines[1]) == (12, "  10 of 12 samples of answers that differed:")
    for document in (
        json.loads(desk.run("explain", "digits", "--json")[1]),
        json.loads(desk.run("status", "digits", "--json")[1])[0],
    ):
        assert [sample["request_id"] for sample in document["samples"]] == [f"r{n}" for n in range(12)]
        assert document["samples"][0]["time"].endswith("Z")


def test_to_look_makes_no_folder(desk, tmp_path):
    desk.environment = {"GATEWAY_STATE_DIR": str(tmp_path / "wrong")}
    assert desk.run("status")[0] == 1
    assert not (tmp_path / "wrong").exists()


def in_a_process(*arguments, state_dir, stdout) -> tuple[int, str]:
    command = [sys.executable, "-m", "gateway", "rollout", *arguments]
    environment = {"PATH": os.environ["PATH"], "GATEWAY_STATE_DIR": str(state_dir), "TERM": "dumb", "COLUMNS": "200"}
    done = subprocess.run(command, env=environment, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)
    return done.returncode, done.stderr


def test_output_that_cannot_be_written_is_told_in_one_line(desk, tmp_path):
    desk.running()
    with open("/dev/full", "w") as full:
        told = in_a_process("status", state_dir=tmp_path, stdout=full)
    assert told == (1, "Error: cannot be done: No space left on device\n")


def test_a_dumb_terminal_gets_lines_only(desk, tmp_path):
    desk.running()
    desk.run("abort", "digits")
    ours, theirs = pty.openpty()
    try:
        assert in_a_process("status", "--watch", state_dir=tmp_path, stdout=theirs)[0] == 0
        shown = os.read(ours, 65_536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert "aborted" in shown
    assert "\x1b" not in shown
