"""A thousand models with three versions each: the page shows them, and does not grow while it polls.

LONG_TESTS=1 polls for ten minutes, and bounds what the view takes to be there.
"""

import os
import time

import pytest

from tests.console.faked import faked_stack
from tests.console.page import Page
from tests.gateway.fake_serving import FakeServing, Version
from tests.stack.browser import look
from tests.waiting import wait_for

LONG = os.environ.get("LONG_TESTS") == "1"
MODELS, VERSIONS = 1_000, 3
POLLS = 600 if LONG else 15  # of the ring, one a second
MOST_NODES = 6_000  # of a page that shows 50 of the 3,000 versions; a row has about 40
MOST_GROWTH_BYTES = 2_000_000
READY_S = 1.0

pytestmark = pytest.mark.timeout(600 + 2 * POLLS)


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    fake = FakeServing()
    fake.models = {f"model_{number:04}": {version: Version() for version in range(1, VERSIONS + 1)} for number in range(MODELS)}
    with faked_stack(tmp_path_factory.mktemp("crowd"), fake, catalog_poll_ms=10_000, workers=1) as stack:
        yield stack


@pytest.fixture
def crowded(browser, crowd):
    look(browser)
    page = Page(browser, crowd.address, crowd.key)
    page.open("about")
    wait_for(lambda: models_known(page) == MODELS, 90, 0.5)
    return page


def models_known(page: Page) -> int:
    script = "const {call} = await import(given[0]); return (await call('admin/console/models.json')).json.models;"
    found = page.asynchronous(script, page.module("api.js"))
    return sum(len(model["versions"]) == VERSIONS for model in found)


def polls(page: Page) -> int:
    """How many times the ring was asked for since the page was loaded."""
    return page.run("return performance.getEntriesByType('resource').filter(entry => entry.name.includes('ring.json')).length")


def size(page: Page) -> tuple[int, int]:
    """The nodes of the document, and the bytes of the heap that are in use after what is free was collected."""
    page.driver.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
    nodes = page.run("return document.querySelectorAll('*').length")
    return nodes, int(page.driver.execute_cdp_cmd("Runtime.getHeapUsage", {})["usedSize"])


def test_three_thousand_versions_are_there_and_few_of_them_are_drawn(crowded, capsys):
    began = time.monotonic()
    crowded.open("models")
    crowded.wait("tr[data-model]")
    ready_s = time.monotonic() - began
    with capsys.disabled():
        print(f"\n{MODELS} models with {VERSIONS} versions each: the view was there after {1000 * ready_s:.0f} ms")
    assert "of 3000 versions" in crowded.text("main")
    rows = "return document.querySelectorAll('tr[data-model]').length"
    shown = crowded.run(rows)
    assert 0 < shown < 200
    nodes, _ = size(crowded)
    assert nodes < MOST_NODES
    crowded.run("arguments[0].click()", crowded.button("Show more"))  # the charts above it may just move it
    wait_for(lambda: crowded.run(rows) == 2 * shown)
    crowded.field("Filter by name").send_keys("model_0999")
    wait_for(lambda: crowded.run(rows) == VERSIONS)
    if LONG:
        assert ready_s <= READY_S


def test_the_page_stays_as_large_as_it_is_while_it_polls(crowded, capsys):
    crowded.open("models")
    crowded.run("performance.setResourceTimingBufferSize(100000)")
    crowded.wait("tr[data-model]")
    wait_for(lambda: polls(crowded) >= 5, 60)
    nodes, used = size(crowded)
    wait_for(lambda: polls(crowded) >= 5 + POLLS, 60 + 2 * POLLS, 0.2)
    nodes_after, used_after = size(crowded)
    with capsys.disabled():
        print(f"\nafter {POLLS} polls: {nodes} -> {nodes_after} nodes, {used / 1e6:.1f} -> {used_after / 1e6:.1f} MB")
    assert nodes_after <= nodes + 50
    assert used_after - used < MOST_GROWTH_BYTES


@pytest.mark.parametrize("view", ["try", "compare", "rollouts"])
def test_a_view_that_offers_all_models_stays_bounded(crowded, view):
    crowded.open(view)
    nodes, _ = size(crowded)
    assert nodes < MOST_NODES
