"""Rollouts in the page: a whole one by keyboard only, and two operators who do not overwrite each other."""

from collections.abc import Callable
from typing import Any

import pytest
from selenium.webdriver import Keys

from gateway.rollout.plan import WHOLE, State
from tests.console.page import Page
from tests.console.stack import PLANTED, ConsoleStack
from tests.stack.browser import look
from tests.stack.conftest import ROOT
from tests.stack.rollout_versions import EQUAL, STABLE
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(240)

STEPS = "10%:manual,50%:manual"


KEYBOARD, ANNOUNCED, DISPUTED, REFUSED = "by_keyboard", "announced", "disputed", "refused"
"""A model for each of the tests that begin a rollout."""


@pytest.fixture(scope="module")
def rollout_stack(exported, rollout_versions, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rollout_stack")
    running = ConsoleStack(folder, exported, rollout_versions, planted=(KEYBOARD, ANNOUNCED, DISPUTED, REFUSED))
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture
def rollout_page(browser, rollout_stack):
    look(browser)
    page = Page(browser, rollout_stack.address, rollout_stack.keys["admin"])
    page.forget()
    return page


def labelled(text: str) -> Callable[[dict[str, Any]], bool]:
    """Whether the control with the focus has that label."""
    return lambda focused: focused["label"].lower().startswith(text.lower()) and not focused["disabled"]


def named(text: str) -> Callable[[dict[str, Any]], bool]:
    """Whether the button with the focus has that text."""
    return lambda focused: focused["tag"] == "BUTTON" and focused["text"] == text


def type_into(page: Page, label: str, text: str) -> None:
    """Go to a field by Tab, and replace what is in it."""
    page.tab_to(labelled(label))
    page.replace(text)


def weight_now(stack: ConsoleStack, model: str) -> float:
    """The part of the requests that the canary gets."""
    plan = stack.store.newest(model)
    return 0.0 if plan is None else plan.canary_weight / WHOLE


def press_button(page: Page, text: str) -> None:
    """Wait until a button can be pressed, go to it by Tab, and press it."""
    page.button(text, "main")
    page.tab_to(named(text))
    page.press(Keys.ENTER)


def orders_of(stack: ConsoleStack, model: str) -> list[str]:
    """What the key ``admin`` has ordered, oldest first."""
    return [event.what for event in stack.events(model) if event.by == "admin"]


def test_a_whole_rollout_by_keyboard_only(rollout_page, rollout_stack):
    page = rollout_page

    def order(text: str, confirm: Callable[[], None] = lambda: None) -> None:
        """Press a button until its order was given: the gateway may change the rollout, too, just before."""
        press_button(page, text)
        confirm()
        wait_for(lambda: is_given(text) or page.find("main [role=alert]"))
        if not is_given(text):
            page.wait_text("revision", "main [role=alert]")
            order(text, confirm)

    def type_the_name() -> None:
        page.wait("dialog[open]")
        assert not page.has_button("Give the order", "dialog")
        page.press("wrong", Keys.ENTER)
        assert page.find("dialog[open]")
        assert not is_given("Undo")
        page.replace(KEYBOARD)
        page.press(Keys.ENTER)

    def is_given(text: str) -> bool:
        return text.lower() in orders_of(rollout_stack, KEYBOARD)

    def wait_weight(weight: float) -> None:
        wait_for(lambda: weight_now(rollout_stack, KEYBOARD) == weight, 60)
        page.wait_text(f"{100 * weight:g}%", "main [aria-current=step]")

    page.open("models")
    page.press("g", "r")
    page.wait_view("rollouts")
    type_into(page, "Model", KEYBOARD)
    page.press(Keys.ENTER)
    page.wait_text("Begin a rollout", "main")
    type_into(page, "New version", str(EQUAL))
    type_into(page, "Steps", STEPS)
    press_button(page, "Begin")
    wait_weight(0.1)
    order("Step")
    wait_weight(0.5)
    type_into(page, "Weight in %", "62.5")
    page.press(Keys.ENTER)
    wait_weight(0.625)
    order("Pause")
    order("Resume")
    order("Promote")
    rollout_stack.wait_for_state(KEYBOARD, State.BAKE_AFTER, State.DONE)
    order("Undo", type_the_name)
    wait_for(lambda: rollout_stack.plan(KEYBOARD).is_ended, 60)
    assert orders_of(rollout_stack, KEYBOARD) == ["start", "step", "weight", "pause", "resume", "promote", "undo"]
    answer = rollout_stack.post(
        f"/v1/models/{KEYBOARD}:predict", {"instances": [[1.0, 2.0]]}, headers=rollout_stack.bearer("predicts")
    )
    assert answer.headers["X-Model-Version"] == str(STABLE)
    assert page.faults() == {}


def test_a_decision_is_announced_and_told_in_the_history(rollout_page, rollout_stack):
    start(rollout_stack, ANNOUNCED)
    page = rollout_page.open("rollouts", model=ANNOUNCED)
    page.run("""window.told = [];
    new MutationObserver(() => told.push(document.getElementById("announcements").textContent))
      .observe(document.getElementById("announcements"), {childList: true, characterData: true, subtree: true});""")
    rollout_stack.rollout("pause", ANNOUNCED, "--note", "we look at it")
    wait_for(lambda: any(ANNOUNCED in text for text in page.run("return told")))
    page.wait_text("we look at it", "main")


def start(stack: ConsoleStack, model: str) -> None:
    """Begin a rollout that waits for a person at 10 %."""
    answer = stack.post(f"/admin/rollouts/{model}", {"canary": EQUAL, "steps": STEPS}, headers=stack.bearer())
    assert answer.status_code == 201, answer.text
    wait_for(lambda: weight_now(stack, model) == 0.1, 60)


def test_the_second_of_two_operators_is_told_what_the_first_has_changed(rollout_page, rollout_stack):
    start(rollout_stack, DISPUTED)
    page = rollout_page
    first = page.driver.current_window_handle
    page.open("rollouts", model=DISPUTED)
    page.button("Step", "main")
    second = page.new_tab()
    page.open("rollouts", model=DISPUTED)
    try:
        page.button("Abort", "main").click()
        page.wait("dialog[open]")

        page.to_tab(first)
        page.button("Step", "main").click()
        wait_for(lambda: weight_now(rollout_stack, DISPUTED) == 0.5, 60)

        page.to_tab(second)
        page.wait_text("50%", "main [aria-current=step]")
        # The dialog is as it was, although what is behind it has changed.
        assert page.run("return document.querySelector('dialog').matches(':modal')")
        assert page.focused()["inDialog"]
        page.press(DISPUTED, Keys.ENTER)
        alert = page.wait_text("revision", "main [role=alert]")
        assert "admin" in alert  # who has done so
        page.wait_text("50%", "main [aria-current=step]")
        assert not rollout_stack.plan(DISPUTED).is_ended
        assert "abort" not in [event.what for event in rollout_stack.events(DISPUTED)]

        # What is shown now may be ordered.
        page.button("Pause", "main").click()
        wait_for(lambda: rollout_stack.plan(DISPUTED).state is State.PAUSED)
        assert page.faults() == {}
    finally:
        page.driver.close()
        page.to_tab(first)


def test_a_weight_that_was_refused_can_be_ordered_again_for_what_stands_now(rollout_page, rollout_stack):
    start(rollout_stack, REFUSED)
    page = rollout_page.open("rollouts", model=REFUSED)
    page.between("""
    if (!url.endsWith("/weight") || window.isRefused) return ask(url, options);
    window.isRefused = true;
    return ask(url, {...options, headers: {...options.headers, "If-Match": '"of-before"'}});""")
    type_into(page, "Weight in %", "62.5")
    page.press(Keys.ENTER)
    page.wait_text("revision", "main [role=alert]")
    assert page.field("Weight in %").get_attribute("value") == "62.5"
    page.button("Set the weight", "main").click()
    wait_for(lambda: weight_now(rollout_stack, REFUSED) == 0.625, 60)

    # Its figures are those that the documentation describes, and a sample leads to the signature that was asked.
    page.wait(".chart")
    titles = page.run("return [...document.querySelectorAll('.chart strong')].map(title => title.textContent.toLowerCase())")
    documented = (ROOT / "docs" / "console.md").read_text()
    assert [title for title in titles if f"| {title} |" not in documented] == []
    page.between("""
    const answer = await ask(url, options);
    if (!url.endsWith("/refused") || !answer.ok) return answer;
    const sample = {time: new Date(), request_id: "one", signature: "other", output: "y", how: "differs"};
    return new Response(JSON.stringify({...await answer.json(), samples: [sample]}), {headers: answer.headers});""")
    assert "signature=other" in page.wait("[aria-label=Samples] a[href^='#/try']").get_attribute("href")
    assert page.faults() == {}


@pytest.mark.parametrize("name", ["predicts", "looks", "some"])
def test_a_key_without_the_scope_admin_sees_no_order(page, console_stack, name):
    page.key = console_stack.keys[name]
    page.open("rollouts", model=PLANTED)
    assert page.run("return document.querySelectorAll('main button').length") == 0
