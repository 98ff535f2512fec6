"""What the last plans said is known at a start without the database."""

import json

import pytest

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
