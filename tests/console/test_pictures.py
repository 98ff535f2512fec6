"""The pictures of docs/console.md, of a real stack on which a version with a planted fault was taken back.

CONSOLE_PICTURES=folder keeps them; `make console-pictures` keeps them in docs/console.
"""

import os
import re
from pathlib import Path

import pytest
from selenium.webdriver.common.action_chains import ActionChains

from gateway.rollout.plan import State
from tests.console.page import Page
from tests.console.stack import PLANTED, TWO_VERSIONS, ConsoleStack
from tests.stack.browser import look
from tests.stack.conftest import ROOT
from tests.stack.rollout_load import Load
from tests.stack.rollout_stack import callers
from tests.stack.rollout_versions import DIFFERS, FAILS, STABLE
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(400)

MOST_BYTES = 300_000
SEVEN = ((0.25, 0.2), (0.75, 0.2), (0.45, 0.85))  # parts of the paper's width and height
RATE = 30.0  # requests a second


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    wanted = os.environ.get("CONSOLE_PICTURES")
    folder = Path(wanted) if wanted else tmp_path_factory.mktemp("pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def taken_back(exported, rollout_versions, tmp_path_factory):
    """A stack on which the version ``FAILS`` has been taken back, with the load that it was tried with."""
    stack = ConsoleStack(tmp_path_factory.mktemp("taken_back"), exported, rollout_versions, has_keys=True)
    try:
        stack.start()
        key = stack.bearer()
        with Load(stack.gateway_port, PLANTED, RATE, callers(50), stack.keys["predicts"]):
            options = {"canary": FAILS, "steps": "10%:5m,50%:5m", "low_traffic": True}
            answer = stack.post(f"/admin/rollouts/{PLANTED}", options, headers=key)
            assert answer.status_code == 201, answer.text
            for number in range(20):
                body = {"instances": [number / 2 if number % 5 else "half"]}
                stack.post("/v1/models/half_plus_two:predict", body, headers=key)
            stack.wait_for_state(PLANTED, State.ROLLED_BACK)
            yield stack
    finally:
        stack.stop()


@pytest.fixture
def shown(browser, taken_back) -> Page:
    look(browser, width=1200, height=1000)
    return Page(browser, taken_back.address, taken_back.keys["admin"])


def keep(page: Page, folder: Path, name: str) -> None:
    """Take the picture of what is in the window."""
    assert page.faults() == {}
    path = folder / f"{name}.png"
    page.run("document.activeElement.blur()")
    assert page.driver.save_screenshot(str(path))
    assert 10_000 < path.stat().st_size < MOST_BYTES


def test_the_models(shown, folder):
    shown.open("models")
    wait_for(lambda: shown.run("return document.querySelectorAll('.chart canvas').length") >= 3)
    wait_for(lambda: any(map(str.isdigit, shown.text(f"tr[data-model={PLANTED}] td.number"))), 30)
    keep(shown, folder, "models")


def test_a_digit_that_was_drawn(shown, folder):
    shown.open("try", model="digits")
    paper = shown.wait("canvas.paper")
    size = paper.size
    points = [((x - 0.5) * size["width"], (y - 0.5) * size["height"]) for x, y in SEVEN]
    actions = ActionChains(shown.driver, duration=50).move_to_element_with_offset(paper, *map(int, points[0])).click_and_hold()
    for point in points[1:]:
        actions = actions.move_to_element_with_offset(paper, *map(int, point))
    actions.release().perform()
    shown.button("Predict", "main").click()
    shown.wait_text("Round trip", "main")
    assert shown.text("main table tbody td") == "7"
    look(shown.driver, width=1200, height=1200)
    keep(shown, folder, "try")


def test_two_versions_that_differ(shown, folder):
    shown.open("compare", model=TWO_VERSIONS, a=STABLE, b=DIFFERS)
    rows = "\n".join(f"[{number}.5, {number + 1}.25]" for number in range(40))
    shown.field("Input as JSON", "main").send_keys(rows)
    shown.button("Compare", "main").click()
    shown.wait_text("40", "main", 60)
    wait_for(lambda: "0.001" in shown.text("main") or "1e-3" in shown.text("main"), 30)
    shown.run("scrollTo(0, 0)")
    keep(shown, folder, "compare")


def test_a_rollout_that_was_taken_back_with_its_evidence(shown, folder):
    shown.open("rollouts", model=PLANTED)
    shown.wait_text("rolled back", "main [role=status]")
    wait_for(lambda: shown.run("return document.querySelectorAll('.chart canvas').length") >= 4, 30)
    look(shown.driver, width=1200, height=1500)
    keep(shown, folder, "rollouts")


def test_the_log(shown, folder):
    shown.open("log", model="half_plus_two")
    shown.wait("tbody button[aria-expanded]").click()
    shown.wait("tbody pre")
    keep(shown, folder, "log")


def test_the_keys(shown, folder):
    shown.open("keys")
    shown.wait("tr[data-key=looks]")
    look(shown.driver, width=1200, height=600)
    keep(shown, folder, "keys")


def test_every_picture_of_the_documentation_is_one_of_these(folder):
    """Those in the tree too: none is left from before."""
    pages = [ROOT / "docs" / "console.md", ROOT / "README.md"]
    named = {name for page in pages for name in re.findall(r"console/(\w+)\.png\)", page.read_text())}
    made = {path.stem for path in folder.glob("*.png")}
    assert named == made == {path.stem for path in (ROOT / "docs" / "console").glob("*.png")}
