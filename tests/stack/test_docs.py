"""The documentation as its readers meet it: the page in a browser, and every snippet run as it is printed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.stack.browser import chromium
from tests.stack.conftest import EXAMPLES
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("browser")) as driver:
        yield driver


@pytest.fixture
def page(browser, stack):
    """The page, once it has drawn the document."""
    for kind in ("browser", "performance"):
        browser.get_log(kind)  # what came before is none of this test's
    browser.get("about:blank")
    browser.get(stack.address + "/docs")
    wait_for(lambda: tags(browser))
    return browser


def tags(page) -> list[str]:
    return [heading.get_attribute("data-tag") for heading in page.find_elements(By.CSS_SELECTOR, "h3.opblock-tag")]


def opened(page, tag: str, operation_id: str) -> WebElement:
    """The block of an operation, unfolded."""
    page.find_element(By.CSS_SELECTOR, f'h3.opblock-tag[data-tag="{tag}"]').click()
    block = wait_for(lambda: next(iter(page.find_elements(By.CSS_SELECTOR, f'[id$="-{operation_id}"]')), None))
    block.find_element(By.CSS_SELECTOR, ".opblock-summary-control").click()
    return block


def executed(block: WebElement) -> str:
    """What the page shows as the answer after a click on Execute."""
    wait_for(lambda: block.find_elements(By.CSS_SELECTOR, "button.execute"))[0].click()
    shown = "table.live-responses-table .response"
    answer = wait_for(lambda: next(iter(block.find_elements(By.CSS_SELECTOR, shown)), None))
    return answer.text


def requested_hosts(page) -> set[str]:
    """Which hosts the page asked for anything since the last look."""
    messages = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    urls = [message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"]
    return {url.split("/")[2] for url in urls if url.startswith(("http:", "https:", "ws:", "wss:"))}


def test_the_page_shows_every_model(page):
    assert tags(page)[: len(EXAMPLES)] == sorted(EXAMPLES)


def test_the_page_asks_no_other_host_and_breaks_no_policy(page, stack):
    opened(page, "digits", "predict_digits")
    wait_for(lambda: page.find_elements(By.CSS_SELECTOR, "button.execute"))
    assert requested_hosts(page) == {stack.address.removeprefix("http://")}
    assert page.get_log("browser") == []


@pytest.mark.parametrize(
    ("operation_id", "answer"),
    [("predict_half_plus_two", "2.5"), ("predictOne_half_plus_two", "2.5"), ("infer_half_plus_two", "2.5")],
)
def test_the_page_predicts_in_every_dialect(page, operation_id, answer):
    text = executed(opened(page, "half_plus_two", operation_id))
    assert text.startswith("200")
    assert answer in text


def test_the_page_links_to_the_snippets_of_each_model(page, stack):
    links = {link.get_attribute("href") for link in page.find_elements(By.CSS_SELECTOR, "h3.opblock-tag a[href]")}
    assert links >= {f"{stack.address}/docs/models/{name}" for name in EXAMPLES}


@pytest.fixture
def curl_home(tmp_path):
    """A home for curl's settings in which an answer that is no 2xx is a failure."""
    (tmp_path / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")
    return tmp_path


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_snippet_runs_as_it_is_printed(stack, curl_home, name):
    """``bash -c`` and ``python -c``; each exits with 0 only for a 2xx: curl by its setting, Python by raise_for_status."""
    document = stack.get(f"/docs/models/{name}", headers={"Accept": "application/json"}).json()
    assert document["version"] == stack.get(f"/v1/models/{name}/metadata").json()["model_spec"]["version"]
    assert len(document["snippets"]) >= 8
    for snippet in document["snippets"]:
        program = {"bash": ["bash", "-c"], "python": [sys.executable, "-c"]}[snippet["language"]]
        ran = run([*program, snippet["code"]], curl_home)
        assert ran.returncode == 0, snippet["title"] + ran.stdout + ran.stderr
        assert ran.stdout.strip(), snippet["title"]


def test_a_snippet_that_fails_would_be_noticed(stack, curl_home):
    code = f"curl -d '{{}}' {stack.address}/predict/dense"
    assert run(["bash", "-c", code], curl_home).returncode != 0


def run(program: list[str], curl_home: Path) -> subprocess.CompletedProcess:
    environment = os.environ | {"CURL_HOME": str(curl_home)}
    return subprocess.run(program, check=False, env=environment, capture_output=True, text=True, timeout=60)


def test_the_snippets_are_text_for_whoever_does_not_ask_for_json(stack):
    response = stack.get("/docs/models/dense")
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert f"{stack.address}/v1/models/dense:predict" in response.text
