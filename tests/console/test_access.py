"""What callers see: without a key, with one of each scope, where there are no keys, and where the console is off."""

import pytest
import requests
from selenium.webdriver import Keys

from tests.console.page import KEY_ITEM, VIEWS, Page
from tests.console.stack import KEYS
from tests.stack.browser import look
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def open_stack(make_console_gateway):
    """A gateway without keys."""
    return make_console_gateway(has_keys=False)


@pytest.fixture
def open_page(browser, open_stack):
    look(browser)
    page = Page(browser, open_stack.address)
    page.forget()
    yield page
    assert page.faults() == {}


def test_the_page_asks_for_a_key_tells_of_a_wrong_one_and_keeps_the_right_one_for_the_tab(page, console_stack):
    page.key = ""
    page.load("models")
    page.wait("dialog[open]")
    assert "half_plus_two" not in page.run("return document.body.textContent")
    page.press(console_stack.keys["admin"][:-1] + "x", Keys.ENTER)
    page.wait("dialog[open] [role=alert]")
    refusal = requests.get(
        f"{console_stack.address}/admin/console/caller", headers={"Authorization": "Bearer sgk_x"}, timeout=30
    ).json()["message"]
    assert page.text("dialog [role=alert]").split()[:2] == refusal.split()[:2]
    field = page.wait("dialog input")
    field.clear()
    field.send_keys(console_stack.keys["admin"], Keys.ENTER)
    page.wait_view("models").wait("tr[data-model=half_plus_two]")
    assert page.run("return sessionStorage.getItem(arguments[0])", KEY_ITEM) == console_stack.keys["admin"]
    assert page.run("return [localStorage.length, document.cookie]") == [0, ""]
    assert console_stack.keys["admin"] not in page.run("return document.documentElement.outerHTML + location.href")
    page.new_tab()
    try:
        page.driver.get(f"{console_stack.address}/console/")
        page.wait("dialog[open]")
    finally:
        page.driver.close()
        page.to_tab(page.driver.window_handles[0])


def test_a_key_that_is_forgotten_is_asked_for_again(page):
    page.open("models")
    page.button("Forget the key").click()
    page.wait("dialog[open]")
    assert page.run("return sessionStorage.length") == 0
    assert "half_plus_two" not in page.run("return document.body.textContent")


def test_the_key_is_asked_for_once_when_it_is_valid_no_more(page, console_stack):
    page.open("models")
    page.between("""
    const answer = await ask(url, window.isValid ? options : {...options, headers: {Authorization: "Bearer sgk_x"}});
    window.refused = (window.refused ?? 0) + (answer.status === 401);
    return answer;""")
    page.wait("dialog[open]")
    page.button("Cancel", "dialog").click()
    before = page.run("return window.refused")
    wait_for(lambda: page.run("return window.refused") >= before + 4)
    assert not page.find("dialog[open]")
    # A person may give another one, and is asked again when that is refused too.
    page.button("Forget the key").click()
    page.wait("dialog[open]")
    page.run("window.isValid = true")
    page.press(console_stack.keys["admin"], Keys.ENTER)
    page.wait("tr[data-model=half_plus_two]")
    page.run("window.isValid = false")
    page.wait("dialog[open]")


@pytest.mark.parametrize("name", ["predicts", "looks", "some"])
@pytest.mark.parametrize("view", VIEWS)
def test_a_view_that_a_scope_does_not_allow_names_the_scope(page, console_stack, name, view):
    page.key = console_stack.keys[name]
    page.open(view)
    wanted = {"models": ("metadata",), "try": ("metadata",), "compare": ("predict", "metadata"), "about": ()}
    missing = [scope for scope in wanted.get(view, ("admin",)) if scope not in KEYS[name]["scopes"]]
    assert ("needs a key with the scope" in page.text("main")) == bool(missing), page.text("main")
    if missing:
        assert page.text("main p code") == missing[0]
    assert not page.find("main [role=alert]"), page.text("main")


def test_a_restricted_key_sees_its_own_models_only(page, console_stack):
    page.key = console_stack.keys["some"]
    page.open("models")
    page.wait("tr[data-model=digits]")
    names = page.run("return [...document.querySelectorAll('tr[data-model]')].map(row => row.dataset.model)")
    assert set(names) == {"half_plus_two", "digits"}
    for view in ("try", "compare"):
        page.go(view)
        page.wait_text("digits", "main")
        everything = page.run("return document.querySelector('main').outerHTML")
        assert not [name for name in ("dense", "basket", "planted") if f">{name}<" in everything or f'"{name}"' in everything]


@pytest.mark.parametrize("view", VIEWS)
def test_without_keys_the_page_shows_all_changes_nothing_and_says_why(open_page, view):
    open_page.open(view, model="planted")
    assert "GATEWAY_KEYS_FILE" in open_page.text("header")
    for name in ("New key", "Start", "Start the rollout", "Promote", "Undo", "Abort"):
        assert not open_page.has_button(name, "main"), name
    assert not open_page.find("dialog[open]")


def test_without_keys_a_model_can_be_tried(open_page):
    open_page.open("models")
    open_page.wait("tr[data-model=half_plus_two]")
    open_page.go("try", model="half_plus_two")
    open_page.wait_text("half_plus_two", "main")


def test_where_the_console_is_off_there_is_no_page_and_no_link(make_console_gateway):
    stack = make_console_gateway(console="off")
    for path in ("/console", "/console/", "/console/app.js"):
        assert stack.get(path, allow_redirects=False).status_code == 404
    assert stack.get("/admin/console/models.json", headers=stack.bearer()).status_code == 404
    for kind in ("text/html", "application/json"):
        assert "console" not in stack.get("/", headers={"Accept": kind, **stack.bearer()}).text


def test_the_first_page_leads_to_the_console(open_page, open_stack):
    open_page.driver.get(open_stack.address)
    links = open_page.run("return [...document.querySelectorAll('a')].map(link => [link.textContent, link.href])")
    (href,) = (href for text, href in links if "console" in text.lower())
    open_page.driver.get(href)
    open_page.wait_view("models")
    wait_for(lambda: open_page.find("tr[data-model=half_plus_two]"))
