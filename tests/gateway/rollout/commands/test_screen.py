"""What is shown while a rollout goes on."""

import dataclasses

import pytest

from gateway.rollout import changes
from gateway.rollout.commands.opening import now_us
from gateway.rollout.commands.screen import NOBODY_FOLLOWS, Screen, lines_of, nobody_follows, watch
from gateway.rollout.plan import Hold, State
from gateway.rollout.store.away import StoreAway


def test_a_terminal_shows_new_lines_in_the_place_of_the_old_ones(capsys):
    screen = Screen(is_terminal=True)
    screen.show(["first", "second"], "1")
    assert capsys.readouterr().out == "\x1b[2Kfirst\n\x1b[2Ksecond\n\x1b[J"
    screen.show(["third"], "1")
    assert capsys.readouterr().out == "\x1b[2A\x1b[2Kthird\n\x1b[J"


def narrow(monkeypatch, columns: int, rows: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", str(rows))


def shown_by(capsys) -> list[str]:
    return capsys.readouterr().out.replace("\x1b[2K", "").removesuffix("\x1b[J").splitlines()


def test_a_line_is_wrapped_at_the_width_of_the_terminal(capsys, monkeypatch):
    narrow(monkeypatch, 20, 24)
    screen = Screen(is_terminal=True)
    screen.show(["mine: version 3", "  errors 7 of 7 bad cells, E = 955"], "1")
    assert shown_by(capsys) == ["mine: version 3", "  errors 7 of 7", "    bad cells, E =", "    955"]
    screen.show(["short"], "1")
    assert capsys.readouterr().out.startswith("\x1b[4A")


def test_what_has_no_room_is_cut_until_the_last_time(capsys, monkeypatch):
    narrow(monkeypatch, 10, 4)
    screen = Screen(is_terminal=True)
    lines = ["a" * 30, "b" * 30, "c" * 30, "d" * 30]
    screen.show(lines, "1")
    assert shown_by(capsys) == ["a" * 10, "b" * 10, "c" * 10]
    screen.show(lines, "1", is_last=True)
    last = capsys.readouterr().out
    assert last.startswith("\x1b[3A")
    assert [last.count(letter) for letter in "abcd"] == [30] * 4


def test_the_reason_of_a_rollback_is_all_there_in_the_end(desk, capsys, monkeypatch):
    narrow(monkeypatch, 40, 5)
    plan = desk.running()
    reason = " ".join(f"word{n}" for n in range(60))
    desk.change(plan, changes.change(plan, plan.created_us, "rollback", state=State.ROLLED_BACK, reason=reason))
    watch(desk.store, lambda: [desk.plan()], Screen(is_terminal=True), lambda seconds: None)
    assert " ".join(" ".join(shown_by(capsys)).split()).count("word") == 60


def test_elsewhere_lines_are_only_added_when_something_changed(capsys):
    screen = Screen(is_terminal=False)
    screen.show(["running for 1s"], "revision 1")
    screen.show(["running for 2s"], "revision 1")
    screen.show(["paused"], "revision 2")
    assert capsys.readouterr().out == "running for 1s\npaused\n"


BAD = "\x1b]0;title\x07 \x9b2J \u202e next\nline"
TAMED = r"\x1b]0;title\x07 \x9b2J \u202e next\nline"


def test_what_others_wrote_is_shown_on_one_line_and_not_obeyed(capsys):
    for is_terminal in (True, False):
        Screen(is_terminal=is_terminal).show([BAD], "1")
        assert TAMED in capsys.readouterr().out


def test_words_of_any_language_are_shown_as_they_are(capsys):
    Screen(is_terminal=False).show(["größer ≥ 1.5: 猫"], "1")
    assert capsys.readouterr().out == "größer ≥ 1.5: 猫\n"


@pytest.mark.parametrize(
    "command", [("status",), ("explain",), ("history",), ("step",), ("history", "--json"), ("status", "--json")], ids=" ".join
)
def test_a_note_is_escaped_wherever_it_is_printed(desk, command):
    desk.running()
    desk.run("abort", "digits", "--note", BAD)
    name, *options = command
    code, shown, told = desk.run(name, "digits", *options)
    assert code == (name == "step")
    said = shown + told
    assert "title" in said
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(said)
    assert TAMED in said or "--json" in command


def test_a_note_is_escaped_in_the_answer_to_an_order(desk):
    plan = desk.running()
    held = {"state": State.HOLDING, "hold": Hold.FILE_CHANGED, "reason": BAD}
    desk.change(plan, changes.change(plan, plan.created_us, "hold", **held))
    for command in (("resume", "--note", BAD), ("undo",)):
        _, shown, told = desk.run(command[0], "digits", *command[1:])
        assert "\x1b" not in shown + told


class Flaky:
    """A database that is away once."""

    def __init__(self, store) -> None:
        self.store = store
        self.is_away = True

    def __getattr__(self, name):
        if self.is_away:
            self.is_away = False
            raise StoreAway("no connection")
        return getattr(self.store, name)


def test_a_database_that_is_away_is_shown_and_asked_again(desk, capsys):
    desk.running()
    desk.run("abort", "digits")
    waited = []
    store = Flaky(desk.store)
    [plan] = watch(store, lambda: [desk.plan()], Screen(is_terminal=False), waited.append)
    assert waited == [1.0]
    assert plan.is_ended
    first, *_ = capsys.readouterr().out.splitlines()
    assert first == "the database of rollouts is away: no connection"


def test_a_rollout_that_nobody_has_followed_for_five_seconds_says_so(desk):
    plan = desk.running()
    told = nobody_follows(desk.store)
    assert NOBODY_FOLLOWS in told
    assert "state.db" in told
    assert told not in lines_of(desk.store, [plan], plan.state_us + 1_000_000)
    assert told in lines_of(desk.store, [plan], plan.state_us + 6_000_000)
    desk.follow()
    assert told not in lines_of(desk.store, [plan], plan.state_us + 6_000_000)


def test_a_view_that_only_adds_lines_says_it_too(desk, capsys):
    """The plan does not change: that nobody follows it is all that is new."""
    old = now_us() - 60_000_000
    draft = desk.begin()
    plan = dataclasses.replace(draft, created_us=old, state_us=old)
    looks = iter([draft, plan, plan, dataclasses.replace(plan, state=State.ABORTED, revision=2)])
    watch(desk.store, lambda: [next(looks)], Screen(is_terminal=False), lambda seconds: None)
    assert capsys.readouterr().out.count(NOBODY_FOLLOWS) == 2  # once for the draft, and with its end
