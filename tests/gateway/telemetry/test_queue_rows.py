"""How many rows wait is shown while any do, and is 0 afterwards."""

from prometheus_client import REGISTRY

from gateway.telemetry.metrics import begin_signature
from gateway.telemetry.queue_rows import QueueRows
from tests.event_loop import on_loop, until


def shown(model: str) -> float | None:
    return REGISTRY.get_sample_value("gateway_queue_rows", {"model": model})


@on_loop
async def test_what_waits_is_shown_until_nothing_does():
    waiting = {"a": 3, "b": 1}
    rows = QueueRows(lambda: dict(waiting))
    rows.watch()
    await until(lambda: (shown("a"), shown("b")) == (3, 1))
    del waiting["b"]
    waiting["a"] = 7
    await until(lambda: (shown("a"), shown("b")) == (7, 0))
    del waiting["a"]
    await until(lambda: shown("a") == 0)
    waiting["a"] = 2
    rows.watch()
    await until(lambda: shown("a") == 2)
    rows.close()
    assert shown("a") == 0


def test_a_model_of_which_nothing_waits_is_shown_from_the_start():
    begin_signature("fresh", 1, "serving_default")
    assert shown("fresh") == 0
