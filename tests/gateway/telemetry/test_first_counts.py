"""Counters whose labels are known are there as 0, so that ``rate()`` sees the first event."""

import pytest
from prometheus_client import REGISTRY

from gateway.telemetry.metrics import BATCH_SENT, begin_signature

OF_VERSION = {"model": "new", "version": "3", "signature": "serving_default"}


@pytest.mark.parametrize("status", ["200", "400", "429", "500", "503", "504"])
def test_the_requests_of_a_version_begin_at_zero_for_each_usual_status(status):
    begin_signature("new", 3, "serving_default")
    assert REGISTRY.get_sample_value("gateway_requests_total", OF_VERSION | {"status": status}) == 0


@pytest.mark.parametrize("name", ["gateway_request_seconds_count", "gateway_backend_seconds_count", "gateway_rows_total"])
def test_its_other_counters_do_too(name):
    begin_signature("new", 3, "serving_default")
    assert REGISTRY.get_sample_value(name, OF_VERSION) == 0


@pytest.mark.parametrize("status", ["400", "404", "429", "503", "504"])
def test_so_do_the_requests_for_no_model_that_is_known(status):
    labels = dict.fromkeys(OF_VERSION, "") | {"status": status}
    assert REGISTRY.get_sample_value("gateway_requests_total", labels) is not None


def test_a_version_that_is_found_again_keeps_what_was_counted():
    begin_signature("again", 1, "serving_default")
    labels = {"model": "again", "reason": "full"}
    BATCH_SENT.labels("again", "full").inc(5)
    begin_signature("again", 1, "serving_default")
    assert REGISTRY.get_sample_value("gateway_batches_total", labels) == 5
