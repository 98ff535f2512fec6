"""What the last plans said is known at a start without the database."""

import fcntl
import json

import pytest
from structlog.testing import capture_logs

from gateway.rollout.control.pins import FILE, Pins
from gateway.rollout.plan import State
from tests.gateway.rollout.control.worlds import a_plan


@pytest.fixture
def path(tmp_path):
    return tmp_path / FILE


def test_the_version_that_each_plan_keeps_is_read_as_a_plan_that_sends_everything_there(path):
    running, promoted = (
        a_plan(stable=2, state=State.RUNNING, weight=100_000),
        a_plan(model="b", stable=4, state=State.BAKE_AFTER),
    )
    Pins(path).note([running, promoted, a_plan(model="c")])
    assert json.loads(path.read_text()) == {"digits": 2, "b": 3}
    assert [(plan.model, plan.kept, plan.canary_weight) for plan in Pins(path).read()] == [("b", 3, 0), ("digits", 2, 0)]


def test_the_file_is_written_when_the_pins_change_and_leaves_nothing_beside_it(path):
    pins = Pins(path)
    pins.note([a_plan(stable=2, state=State.ROLLED_BACK)])
    before = path.stat().st_ino
    pins.note([a_plan(stable=2, state=State.ROLLED_BACK, revision=9)])
    assert path.stat().st_ino == before
    pins.note([])
    assert Pins(path).read() == ()
    assert [file.name for file in path.parent.iterdir()] == [FILE]


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"digits": "2"}', b"\xff"])
def test_a_file_that_holds_no_pins_is_passed_over(path, content):
    path.write_bytes(content)
    assert Pins(path).read() == ()


def test_a_folder_that_is_gone_is_no_reason_to_stop(tmp_path):
    pins = Pins(tmp_path / "none" / FILE)
    pins.note([a_plan(stable=2, state=State.ABORTED)])
    assert pins.read() == ()
    assert Pins(None).read() == ()


def test_a_file_that_could_not_be_written_is_written_later_and_each_reason_is_told_once(tmp_path):
    path = tmp_path / "later" / FILE
    pins, plans = Pins(path), [a_plan(stable=2, state=State.ROLLED_BACK)]
    with capture_logs() as told:
        for _ in range(3):
            pins.note(plans)
        path.parent.touch()
        for _ in range(3):
            pins.note(plans)
        path.parent.unlink()
        path.parent.mkdir()
        pins.note(plans)
    assert [(event["event"], event["reason"]) for event in told] == [
        ("rollout.pins_not_written", "No such file or directory"),
        ("rollout.pins_not_written", "Not a directory"),
    ]
    assert json.loads(path.read_text()) == {"digits": 2}


def test_a_file_that_another_process_keeps_is_told_once_and_written_later(path, monkeypatch):
    monkeypatch.setattr("gateway.rollout.control.pins._PATIENCE_S", 0.05)
    path.touch()
    pins, plans = Pins(path), [a_plan(stable=2, state=State.ROLLED_BACK)]
    with path.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with capture_logs() as told:
            for _ in range(2):
                pins.note(plans)
    assert len(told) == 1
    pins.note(plans)
    assert json.loads(path.read_text()) == {"digits": 2}
