"""One worker records, another one takes over, and trouble with the disk is told once."""

import asyncio

import structlog

from gateway.api.console.recent.recorder import Recorder
from gateway.api.console.recent.ring import Ring
from gateway.api.console.recent.shared_place import SharedPlace
from tests.event_loop import on_loop, until
from tests.gateway.api.console.recent.test_places import files_up_to


def recorder(folder, **changes) -> Recorder:
    return Recorder(folder, lambda: (), dict, **changes)


def recorded(folder) -> int:
    ring = Ring(SharedPlace(folder))
    ring.read()
    return len(ring.ticks)


@on_loop
async def test_one_records_and_another_goes_on_when_it_ends(tmp_path):
    both = [recorder(tmp_path), recorder(tmp_path)]
    for one in both:
        one.start()
    try:
        await until(lambda: recorded(tmp_path) >= 2)
        assert [one.is_recording for one in both].count(True) == 1
        [first] = [one for one in both if one.is_recording]
        [second] = [one for one in both if not one.is_recording]
        await first.close()
        before = recorded(tmp_path)
        await until(lambda: second.is_recording)
        await until(lambda: recorded(tmp_path) >= before + 2)
    finally:
        for one in both:
            await one.close()
    assert not any(one.is_recording for one in both)


@on_loop
async def test_a_full_disk_is_told_once_and_when_it_is_over(tmp_path):
    with structlog.testing.capture_logs() as told:
        with files_up_to(0):
            one = recorder(tmp_path, every_s=0.01)
            one.start()
            await until(lambda: told)
            await asyncio.sleep(0.1)  # ten more times
        await until(lambda: recorded(tmp_path) >= 1)
        await one.close()
    assert [event["event"] for event in told] == ["console.not_recorded", "console.recorded_again"]
    assert told[0]["log_level"] == "warning"
    assert told[0]["reason"]


@on_loop
async def test_a_defect_is_told_once_with_its_traceback_and_the_recorder_goes_on(tmp_path):
    broken = True

    def plans():
        return {"m": object()} if broken else {}

    with structlog.testing.capture_logs() as told:
        one = Recorder(tmp_path, lambda: (), plans, every_s=0.01)
        one.start()
        await until(lambda: told)
        broken = False
        await until(lambda: len(told) == 2)
        await one.close()
    assert [(event["event"], event["log_level"]) for event in told] == [
        ("console.not_recorded", "error"),
        ("console.recorded_again", "info"),
    ]


@on_loop
async def test_a_folder_that_is_gone_is_trouble_and_no_end(tmp_path):
    folder = tmp_path / "gone"
    with structlog.testing.capture_logs() as told:
        one = recorder(folder, every_s=0.01)
        one.start()
        await until(lambda: told)
        folder.mkdir()
        await until(lambda: recorded(folder) >= 1)
        await one.close()
    assert [event["event"] for event in told] == ["console.not_recorded", "console.recorded_again"]
