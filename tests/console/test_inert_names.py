"""Whatever a name, a reason, a note or an answer is, the page shows it as text and does nothing else with it."""

from urllib.parse import quote

import numpy as np
import pytest
import requests

from gateway.backend.stubs import DataType
from tests.console.faked import faked_stack
from tests.console.page import VIEWS, Page
from tests.gateway.fake_serving import FakeServing, Version, signature
from tests.stack.browser import look
from tests.waiting import wait_for

EVIL = "<img src=x onerror=alert(1)>"
BREAKS_OUT = "\"'><svg onload=alert(2)>&lt;script>alert(3)</script>"
NAMES = (EVIL, BREAKS_OUT.replace("/", "|"))  # a model's name in a path has no slash
END, INVALID = 50, 3
# What the main part shows: its texts, and what is in its fields.
SHOWN = """const main = document.querySelector("main");
return [main.textContent, ...[...main.querySelectorAll("input, select")].map(control => control.value)].join("\\n");"""


def served() -> dict[int, Version]:
    """Two versions that answer with markup as the output ``EVIL``, and one that cannot be loaded for a reason of markup."""
    named = signature({EVIL: (DataType.DT_FLOAT, [-1, 2])}, {EVIL: (DataType.DT_STRING, [-1])})

    def run(inputs):
        return {EVIL: np.array([EVIL.encode()] * len(inputs[EVIL]), dtype=object)}

    versions = {number: Version(run=run, signatures={"serving_default": named, BREAKS_OUT: named}) for number in (1, 2)}
    return versions | {3: Version(state=END, error_code=INVALID, error_message=EVIL)}


@pytest.fixture(scope="module")
def evil_stack(tmp_path_factory):
    fake = FakeServing()
    fake.models = {name: served() for name in NAMES}
    with faked_stack(tmp_path_factory.mktemp("evil_stack"), fake) as stack:
        headers = {"Authorization": f"Bearer {stack.key}"}

        def post(path, document):
            return requests.post(f"{stack.address}/{path}", json=document, headers=headers, timeout=30)

        for name in NAMES:
            row = {EVIL: [1.0, 2.0]}
            assert post(f"v1/models/{quote(name)}/versions/1:predict", {"instances": [row]}).status_code == 200
            assert post(f"v1/models/{quote(name)}:predict", {"instances": [{BREAKS_OUT: 1}]}).status_code == 400
            assert post(f"admin/rollouts/{quote(name)}", {"canary": 2, "steps": "10%:5m,50%:5m"}).status_code == 201
            assert wait_for(lambda name=name: post(f"admin/rollouts/{quote(name)}/abort", {"note": EVIL}).status_code) == 200
        yield stack


@pytest.fixture
def evil(browser, evil_stack):
    look(browser)
    page = Page(browser, evil_stack.address, evil_stack.key)
    page.forget()
    return page


def assert_inert(page: Page) -> None:
    """Nothing of the markup has become an element, a request, a script or a dialog."""
    made = "return [...document.body.querySelectorAll('img, script, [onerror], [onload]')].map(one => one.outerHTML)"
    assert page.run(made) == []
    names = page.run("return performance.getEntriesByType('resource').map(entry => new URL(entry.name).pathname)")
    assert not [name for name in names if name.endswith("/x")]
    assert page.faults() == {}
    assert page.console_errors() == []


@pytest.mark.parametrize("name", NAMES, ids=["element", "attribute"])
@pytest.mark.parametrize("view", VIEWS)
def test_a_model_of_such_a_name_is_text(evil, view, name):
    evil.open(view, model=name, version=1, a=1, b=2)
    if view in ("models", "try", "rollouts", "log", "compare"):
        assert name in evil.run(SHOWN)
    assert_inert(evil)


@pytest.mark.parametrize("view", VIEWS)
def test_markup_in_the_address_is_text(evil, view):
    for params in ({"model": EVIL}, {"model": "no " + BREAKS_OUT, "version": EVIL, "signature": BREAKS_OUT, "request": EVIL}):
        evil.open(view, **params)
        assert_inert(evil)
    evil.driver.get(f"{evil.address}/console/#/{quote(EVIL)}?{EVIL}={EVIL}")
    evil.wait_view("models")
    assert_inert(evil)


def test_a_reason_of_markup_is_text(evil):
    evil.open("models")
    evil.wait_text(f"{EVIL}", "tr[data-version='3']")
    assert_inert(evil)


def test_inputs_and_outputs_of_the_log_are_text(evil):
    evil.open("log")
    row = evil.wait("tbody tr:not([hidden])")
    for button in row.parent.find_elements("css selector", "tbody button[aria-expanded]")[:4]:
        evil.run("arguments[0].click()", button)
        evil.wait("tbody pre")
        assert_inert(evil)
    assert EVIL in evil.text("tbody")


def test_a_note_in_the_history_of_a_rollout_is_text(evil):
    evil.open("rollouts", model=EVIL)
    wait_for(lambda: evil.text("main").count(EVIL) >= 2)
    assert_inert(evil)


def test_what_the_server_refuses_is_text(evil):
    evil.open("keys")
    evil.button("New key").click()
    evil.field("Name", "dialog").send_keys(EVIL)
    evil.button("Make the key").click()
    evil.wait_text(EVIL, "dialog [role=alert]")
    assert_inert(evil)
    evil.key = EVIL
    evil.load("models")
    evil.wait("dialog[open]")
    assert_inert(evil)


def test_an_answer_of_markup_is_text(evil):
    evil.open("try", model=EVIL, version=1, signature="serving_default")
    evil.button("Predict", "main").click()
    wait_for(lambda: evil.text("main").count("onerror") >= 2)
    assert_inert(evil)
