"""Keys as their users meet them: the commands of the README, the page in a browser, and every snippet run as it is printed."""

import os
import re
import subprocess
import sys

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By

from tests.gateway.access.made_keys import make_key, write
from tests.stack.browser import chromium
from tests.stack.conftest import ROOT, Stack
from tests.waiting import wait_for

README = (ROOT / "README.md").read_text()
MODELS = ("half_plus_two", "digits")


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """The file of keys as ``file``, and the texts of two keys by their names."""
    file = tmp_path_factory.mktemp("keys") / "keys.jsonl"
    both, both_key = make_key("both", scopes=("predict", "metadata"), models=("half*",))
    predicts, predicts_key = make_key("predicts")
    write(file, both_key, predicts_key)
    return {"file": file, "both": both, "predicts": predicts}


@pytest.fixture(scope="module")
def stack(exported, keys, tmp_path_factory):
    running = Stack(tmp_path_factory.mktemp("stack"), exported, MODELS, keys_file=keys["file"])
    try:
        yield running.start()
    finally:
        running.stop()


def test_the_commands_of_the_readme_make_a_key_that_predicts(stack, keys):
    (section,) = re.findall(r"^## Keys and limits\n(.*?)^##", README, re.MULTILINE | re.DOTALL)
    (new,) = re.findall(r"^\$ (KEY=.*)$", section, re.MULTILINE)
    command, answer = re.search(r"^\$ (curl .*)\n(\{.*\})$", section, re.MULTILINE).groups()
    program = f"{new}\nuntil {command} --fail --silent; do sleep 0.1; done".replace("http://127.0.0.1:8080", stack.address)
    environment = os.environ | {"GATEWAY_KEYS_FILE": str(keys["file"])}
    ran = subprocess.run(
        ["bash", "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout == answer
    assert ran.stderr.startswith("the key mobile ")


def test_every_snippet_runs_with_the_key_of_its_environment(stack, keys, tmp_path):
    (tmp_path / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")
    headers = {"Accept": "application/json", "X-API-Key": keys["both"]}
    snippets = stack.get("/docs/models/half_plus_two", headers=headers).json()["snippets"]
    assert len(snippets) >= 8
    for snippet in snippets:
        program = {"bash": ["bash", "-c"], "python": [sys.executable, "-c"]}[snippet["language"]]
        for key, is_right in ((keys["both"], True), ("none", False)):
            environment = os.environ | {"CURL_HOME": str(tmp_path), "KEY": key}
            ran = subprocess.run(
                [*program, snippet["code"]], env=environment, capture_output=True, text=True, timeout=60, check=False
            )
            assert (ran.returncode == 0) == is_right, snippet["title"] + ran.stdout + ran.stderr


def test_the_page_asks_for_a_key_keeps_it_for_its_tab_and_predicts_with_it(stack, keys, tmp_path):
    with chromium(tmp_path) as page:
        page.get(stack.address + "/docs")
        wait_for(lambda: "there is no key" in refusal(page))
        assert not tags(page)
        give(page, keys["predicts"])
        wait_for(lambda: "the key predicts has no scope metadata" in refusal(page))
        give(page, keys["both"])
        wait_for(lambda: tags(page))
        assert tags(page)[0] == "half_plus_two"
        assert "digits" not in tags(page)
        assert page.find_elements(By.CSS_SELECTOR, "button.authorize")
        page.find_element(By.CSS_SELECTOR, 'h3.opblock-tag[data-tag="half_plus_two"]').click()
        block = wait_for(lambda: next(iter(page.find_elements(By.CSS_SELECTOR, '[id$="-predict_half_plus_two"]')), None))
        block.find_element(By.CSS_SELECTOR, ".opblock-summary-control").click()
        wait_for(lambda: block.find_elements(By.CSS_SELECTOR, "button.execute"))[0].click()
        answer = "table.live-responses-table .response"
        text = wait_for(lambda: next(iter(block.find_elements(By.CSS_SELECTOR, answer)), None)).text
        assert text.startswith("200")
        assert "2.5" in text
        assert keys["both"] in page.execute_script("return Object.values(sessionStorage)")
        assert page.execute_script("return [localStorage.length, document.cookie]") == [0, ""]


def refusal(page) -> str:
    form = page.find_element(By.ID, "key")
    return form.text if form.is_displayed() else ""


def tags(page) -> list[str]:
    return [heading.get_attribute("data-tag") for heading in page.find_elements(By.CSS_SELECTOR, "h3.opblock-tag")]


def give(page, key: str) -> None:
    """Type the key, and wait until the page has been loaded anew with it."""
    form = page.find_element(By.ID, "key")
    form.find_element(By.NAME, "key").send_keys(key)
    form.find_element(By.TAG_NAME, "button").click()
    wait_for(lambda: is_gone(form))


def is_gone(element) -> bool:
    try:
        element.is_displayed()
    except StaleElementReferenceException:
        return True
    return False
