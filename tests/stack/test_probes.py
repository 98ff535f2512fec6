"""By these routes load balancers and orchestrators judge a gateway: whatever its clients wait for, they are answered."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.stack.held_gateway import Gateway, held_gateway
from tests.waiting import wait_for

READINESS = {"/readyz": 200, "/v2/health/ready": 200}
PROBES = ("/healthz", "/health", "/metrics", "/v2/health/live", *READINESS)
# More than a worker answers at a time outside its event loop. The model server takes as many calls at a time, and no more.
AT_A_TIME = 16
CLIENTS = 24


@pytest.fixture
def gateway(tmp_path) -> Iterator[Gateway]:
    with held_gateway(tmp_path, workers=1) as running:
        yield running


def test_probes_are_answered_while_many_wait_for_metadata_that_does_not_come(gateway):
    address = f"http://127.0.0.1:{gateway.port}"
    gateway.fake.metadata_release.clear()
    with ThreadPoolExecutor(CLIENTS) as clients:
        asked = [clients.submit(requests.get, f"{address}/v1/models/m/metadata", timeout=60) for _ in range(CLIENTS)]
        try:
            wait_for(lambda: gateway.fake.calls.count("GetModelMetadata") >= AT_A_TIME)
            statuses = {path: requests.get(address + path, timeout=60).status_code for path in PROBES}
            assert statuses | READINESS == dict.fromkeys(PROBES, 200)  # the model server may be too busy to be ready
            assert not any(one.done() for one in asked)
        finally:
            gateway.fake.metadata_release.set()
        assert {one.result().status_code for one in asked} == {200}
