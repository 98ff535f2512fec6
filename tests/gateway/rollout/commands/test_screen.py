"""What is shown while a rollout goes on."""

import pytest

from gateway.rollout import changes
from gateway.rollout.commands.screen import NOBODY_FOLLOWS, Screen, lines_of, watch
from gateway.rollout.plan import Hold, State
from gateway.rollout.store.away import StoreAway


def test_a_terminal_shows_new_lines_in_the_place_of_the_old_ones(capsys):
    screen = Screen(is_terminal=True)
    screen.show(["first", "second"], "1")
    assert capsys.readouterr().out == "\x1b[2Kfirst\n\x1b[2Ksecond\n\x1b[J"
    screen.show(["third"], "1")
    assert capsys.readouterr().out == "\x1b[2A\x1b[2Kthird\n\x1b[J"


def test_a_line_is_cut_at_the_width_of_the_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "10")
    Screen(is_terminal=True).show(["x" * 100], "1")
    assert capsys.readouterr().out.count("x") == 10


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


def test_a_rollout_that_nobody_has_followed_for_ten_seconds_says_so(desk):
    plan = desk.running()
    assert NOBODY_FOLLOWS not in lines_of(desk.store, [plan], plan.state_us + 1_000_000)
    assert NOBODY_FOLLOWS in lines_of(desk.store, [plan], plan.state_us + 11_000_000)
    desk.follow()
    assert NOBODY_FOLLOWS not in lines_of(desk.store, [plan], plan.state_us + 11_000_000)
