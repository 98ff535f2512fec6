"""What is kept has an end: in time, in number for each model, in bytes over all of them."""

import gc
import tracemalloc

import numpy as np
import pytest
from prometheus_client import REGISTRY

from gateway.inference.caching.key import tensors_key
from gateway.inference.caching.store import CacheLimits, CacheStore, read_only_prediction
from gateway.inference.signature import Prediction, ServedModel

ENTRY = 1500  # about what an answer of one number takes, in bytes


class Clock:
    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


class Shop:
    """A store, and short ways to keep and to ask for the answer to a number."""

    def __init__(self, max_bytes=1 << 20, **limits):
        self.clock = Clock()
        self.served = {model: ServedModel(model, 1, {}) for model in limits}
        self.store = CacheStore({model: CacheLimits(*limit) for model, limit in limits.items()}, max_bytes, self.clock)

    def key(self, model, number):
        return (id(self.served[model]), "s", (), tensors_key({"x": np.array([number])}))

    def put(self, model, number, size=1):
        prediction = Prediction(model, 1, "s", {"y": np.full(size, number % 256, np.uint8)})
        self.store.keep(self.key(model, number), self.served[model], prediction)

    def get(self, model, number):
        kept = self.store.get(self.key(model, number), model)
        return None if kept is None else int(kept.outputs["y"][0])

    def kept(self, model, numbers):
        return [number for number in numbers if self.get(model, number) == number]


def sample(name, **labels):
    return REGISTRY.get_sample_value(name, labels)


def test_an_answer_is_kept_for_its_seconds_and_not_longer_for_being_asked():
    shop = Shop(m=(10, 60.0))
    shop.put("m", 7)
    shop.clock.now_s += 59.9
    assert shop.get("m", 7) == 7
    shop.clock.now_s += 0.1
    assert shop.get("m", 7) is None
    assert (len(shop.store._models["m"]), shop.store.bytes_held) == (0, 0)


def test_each_model_has_its_own_seconds():
    shop = Shop(short=(10, 1.0), long=(10, 100.0))
    shop.put("short", 1)
    shop.put("long", 1)
    shop.clock.now_s += 1
    assert (shop.get("short", 1), shop.get("long", 1)) == (None, 1)


def test_above_the_number_of_entries_the_least_recently_asked_for_goes():
    shop = Shop(m=(3, 60.0))
    for number in (1, 2, 3):
        shop.put("m", number)
    assert shop.get("m", 1) == 1
    before = sample("gateway_cache_evictions_total", model="m", reason="entries")
    shop.put("m", 4)
    assert shop.kept("m", range(5)) == [1, 3, 4]
    assert sample("gateway_cache_evictions_total", model="m", reason="entries") - before == 1


def test_a_single_entry_is_enough_to_keep_the_latest():
    shop = Shop(m=(1, 60.0))
    for number in range(3):
        shop.put("m", number)
    assert shop.kept("m", range(3)) == [2]


def test_an_answer_that_is_kept_already_stays_as_it_is():
    shop = Shop(m=(2, 60.0))
    shop.put("m", 1)
    shop.put("m", 2)
    shop.clock.now_s += 40
    shop.put("m", 2)
    assert shop.kept("m", range(3)) == [1, 2]
    shop.clock.now_s += 20
    assert shop.kept("m", range(3)) == []


def test_the_bytes_over_all_models_are_never_more_than_allowed():
    shop = Shop(200_000, a=(1000, 60.0), b=(1000, 60.0), c=(1000, 60.0))
    dice = np.random.default_rng(1)
    for number in range(1000):
        shop.put("abc"[dice.integers(3)], number % 250, int(dice.integers(1, 30_000)))
        assert 0 < shop.store.bytes_held <= 200_000


def test_the_model_that_holds_the_most_gives_way_to_the_others():
    shop = Shop(100_000, large=(1000, 60.0), small=(1000, 60.0))
    for number in range(5):
        shop.put("small", number)
    for number in range(100):
        shop.put("large", number, 10_000)
    assert shop.kept("small", range(5)) == list(range(5))
    assert shop.get("large", 99) == 99
    assert sample("gateway_cache_evictions_total", model="large", reason="bytes") > 0


def test_room_that_expired_answers_took_is_free_again():
    shop = Shop(100_000, short=(1000, 1.0), long=(1000, 60.0))
    for number in range(8):
        shop.put("short", number, 10_000)
    shop.put("long", 1, 10_000)
    shop.clock.now_s += 1
    before = sample("gateway_cache_evictions_total", model="short", reason="bytes")
    for number in range(7):
        shop.put("long", number, 10_000)
    assert shop.kept("long", range(7)) == list(range(7))
    assert sample("gateway_cache_evictions_total", model="short", reason="bytes") == before


class Counted(CacheStore):
    """A store that knows how often the bytes of all models were counted."""

    counts = 0

    @property
    def bytes_held(self):
        self.counts += 1
        return super().bytes_held


def test_the_models_are_counted_only_when_the_bytes_may_be_used_up():
    """With a thousand models that takes more than a millisecond."""
    shop = Shop(200_000, a=(3, 60.0), b=(1000, 60.0))
    shop.store = Counted({"a": CacheLimits(3, 60.0), "b": CacheLimits(1000, 60.0)}, 200_000, shop.clock)
    for number in range(100):
        shop.put("a", number, 20_000)  # of which three are held
    for number in range(4):
        shop.put("b", number, 20_000)
    assert shop.store.counts == 0
    for number in range(4, 20):
        shop.put("b", number, 20_000)
    assert 0 < shop.store.counts <= 2 * 16
    assert shop.store.bytes_held <= 200_000


def test_after_they_were_given_up_answers_do_not_count_any_more():
    shop = Shop(m=(1000, 60.0))
    shop.store = Counted({"m": CacheLimits(1000, 60.0)}, 1 << 20, shop.clock)
    for number in range(100):
        prediction = Prediction("m", 1, "s", {"y": np.zeros(100_000, np.uint8)}, 0.0, 2)
        assert prediction.is_shared
        shop.store.keep(shop.key("m", number), shop.served["m"], prediction)
        shop.store.drop_shared("m")
    assert shop.store.counts == 0


def test_an_answer_above_an_eighth_of_the_bytes_is_not_kept():
    shop = Shop(80_000, m=(10, 60.0))
    shop.put("m", 1, 10_001)
    shop.put("m", 2, 10_000 - ENTRY)
    assert shop.kept("m", range(3)) == [2]


def test_strings_count_with_their_contents():
    sizes = []
    for length in (0, 1000):
        shop = Shop(m=(10, 60.0))
        texts = Prediction("m", 1, "s", {"y": np.array([b"x" * length] * 3, object)})
        shop.store.keep(shop.key("m", 1), shop.served["m"], texts)
        sizes.append(shop.store.bytes_held)
    assert sizes[1] - sizes[0] == 3000


@pytest.mark.parametrize("size", [1, 1000, 50_000])
def test_the_bytes_that_are_counted_are_about_those_that_are_taken(size):
    shop = Shop(1 << 26, m=(10_000, 60.0))
    entries = 1_000_000 // (size + ENTRY)
    gc.collect()
    tracemalloc.start()
    for number in range(entries):
        shop.put("m", number, size)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(shop.store._models["m"]) == entries
    assert 0.7 < shop.store.bytes_held / taken < 1.5


def test_the_gauges_tell_what_is_held():
    shop = Shop(gauged=(2, 60.0))
    for number in range(3):
        shop.put("gauged", number)
    assert sample("gateway_cache_entries", model="gauged") == 2
    assert sample("gateway_cache_bytes", model="gauged") == shop.store.bytes_held > 0


def test_what_readers_get_cannot_be_changed_and_is_no_view_on_a_batch():
    batch = np.arange(1000.0)
    prediction = Prediction("m", 1, "s", {"y": batch[3:4]})
    shop = Shop(m=(10, 60.0))
    kept, shared = shop.store.keep(shop.key("m", 3), shop.served["m"], prediction), read_only_prediction(prediction)
    assert shop.store.get(shop.key("m", 3), "m") is kept
    assert kept.outputs["y"].base is None
    for reader in (kept, shared):
        with pytest.raises(ValueError, match="read-only"):
            reader.outputs["y"][0] = 1.0
        with pytest.raises(TypeError):
            reader.outputs["z"] = batch
    assert prediction.outputs["y"].flags.writeable
