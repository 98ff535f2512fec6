"""The newest exemplar of each bucket, whoever wrote it, and never half of one."""

import threading
import time

import pytest

from gateway.telemetry.exemplars import Exemplars, key_of
from gateway.telemetry.metrics import REQUEST_SECONDS, SECONDS
from gateway.telemetry.request_metrics import Labels

DENSE, DIGITS = Labels("dense", "1", "serving_default"), Labels("digits", "1", "serving_default")


def only(exemplars):
    (found,) = exemplars.newest().values()
    return found


@pytest.mark.parametrize("folder", [True, False], ids=["shared", "alone"])
def test_each_bucket_has_its_own_exemplar(tmp_path, folder):
    exemplars = Exemplars(str(tmp_path) if folder else None)
    times = [0.0, *(bound + extra for bound in SECONDS for extra in (0.0, 0.0001))]
    for number, seconds in enumerate(times, 1):
        exemplars.note(DENSE, number, seconds, 10.0 + number)
    found = exemplars.newest()
    # A bound is in its own bucket, which is how Prometheus has it.
    bounds = [*map(str, SECONDS), "+Inf"]
    assert [found[key_of(DENSE, bound)].seconds for bound in bounds] == [*SECONDS, times[-1]]
    assert len(found) == len(REQUEST_SECONDS.labels(*DENSE)._upper_bounds) == len(bounds)


def test_models_do_not_share_their_exemplars(tmp_path):
    exemplars = Exemplars(str(tmp_path))
    exemplars.note(DENSE, 1, 0.002, 10.0)
    exemplars.note(DIGITS, 2, 0.002, 11.0)
    found = exemplars.newest()
    assert [found[key_of(labels, "0.0025")].trace_id for labels in (DENSE, DIGITS)] == [1, 2]


def test_of_several_workers_the_newest_is_shown_in_whatever_order_they_write(tmp_path):
    workers = [Exemplars(str(tmp_path)) for _ in range(3)]
    for worker, trace_id, ended_s in ((0, 1, 12.0), (1, 2, 11.0), (2, 3, 10.0), (0, 4, 11.5)):
        workers[worker].note(DENSE, trace_id, 0.002, ended_s)
    assert {only(worker).trace_id for worker in workers} == {1}


def test_the_exemplars_of_a_worker_that_died_stay(tmp_path):
    died = Exemplars(str(tmp_path))
    died.note(DENSE, 1, 0.002, 10.0)
    before = died.newest()
    del died
    assert Exemplars(str(tmp_path)).newest() == before


def test_an_exemplar_says_when_its_request_ended_and_is_the_same_at_every_look(tmp_path):
    exemplars = Exemplars(str(tmp_path))
    exemplars.note(DENSE, 1, 0.002, time.monotonic() - 100)
    found = only(exemplars)
    assert time.time() - found.ended_unix_s == pytest.approx(100, abs=60)
    assert only(exemplars) == found


def test_a_record_that_is_half_written_is_left_out(tmp_path):
    exemplars = Exemplars(str(tmp_path))
    exemplars.note(DENSE, 1, 0.002, 10.0)
    exemplars.note(DIGITS, 2, 0.002, 10.0)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    for place in range(60):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        assert only(exemplars).trace_id == 2
    file.write_bytes(bytes(64) + whole[64:100])  # one was never written, of the other a part
    assert exemplars.newest() == {}


def test_whoever_looks_while_one_is_written_sees_it_whole(tmp_path):
    """The id, the seconds and the time say the same number."""
    exemplars = Exemplars(str(tmp_path))
    reader = Exemplars(str(tmp_path))
    seen = set()
    is_over = threading.Event()

    def write():
        for number in range(1, 20_000):
            exemplars.note(DENSE, number << 96 | number, 20.0 + number, float(number))
            if is_over.is_set():
                return

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive() and len(seen) < 50:
        for found in reader.newest().values():
            number = int(found.ended_s)
            assert (found.trace_id, found.seconds) == (number << 96 | number, 20.0 + number)
            seen.add(number)
    is_over.set()
    writer.join()
    assert len(seen) > 1


def test_without_room_to_write_it_an_exemplar_is_forgotten(tmp_path):
    exemplars = Exemplars(str(tmp_path / "gone"))
    exemplars.note(DENSE, 1, 0.002, 10.0)
    assert exemplars.newest() == {}
    (tmp_path / "gone").mkdir()
    exemplars.note(DIGITS, 2, 0.002, 11.0)
    assert only(exemplars).trace_id == 2
