"""What axe finds, and what users of a keyboard, a screen reader or a phone meet in every view."""

import pytest
from selenium.webdriver import Keys

from tests.console.page import VIEWS, Page
from tests.stack.browser import look
from tests.waiting import wait_for

SCHEMES = {"light": False, "dark": True}
WIDTHS = {"desktop": 1400, "phone": 360}
MODELS = ("half_plus_two", "digits", "basket")


@pytest.fixture(scope="module", autouse=True)
def asked(console_stack):
    """Some requests, of which one is refused, so that no view is empty."""
    for body in ({"instances": [1.0, 2.0]}, {"instances": ["a"]}):
        console_stack.post("/v1/models/half_plus_two:predict", body, headers=console_stack.bearer())


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_serious(page, browser, view, scheme, width):
    look(browser, SCHEMES[scheme], WIDTHS[width])
    page.open(view, model="half_plus_two")
    assert page.findings() == []


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("model", MODELS)
def test_axe_finds_nothing_serious_in_the_form_of_any_model(page, browser, model, scheme):
    look(browser, SCHEMES[scheme])
    page.open("try", model=model)
    page.wait_text(model, "main")
    assert page.findings() == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing_serious_in_the_dialogs(page, browser, scheme):
    look(browser, SCHEMES[scheme])
    page.open("keys")
    for name, within in (("New key", "main"), ("Rotate", "tr[data-key=looks]"), ("Disable", "tr[data-key=looks]")):
        page.button(name, within).click()
        page.wait("dialog[open]")
        assert page.findings() == []
        page.press(Keys.ESCAPE)
        wait_for(lambda: not page.find("dialog[open]"))
    page.key = ""
    page.load("models")
    page.wait("dialog[open]")
    assert page.findings() == []


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_is_no_wider_than_a_phone_and_has_one_heading_and_names_for_all(page, browser, view):
    look(browser, width=360, height=740)
    page.open(view, model="half_plus_two")
    assert page.run("return document.documentElement.scrollWidth") <= 360
    assert page.run("return document.querySelectorAll('h1').length") == 1
    assert page.run("return document.title").lower().startswith(page.text("h1").lower())
    unnamed = """
    const text = control => [control.ariaLabel, control.title, control.textContent, control.getAttribute("aria-labelledby"),
      ...[...(control.labels || [])].map(label => label.textContent)].some(part => (part || "").trim());
    const controls = "button, a[href], input:not([type=hidden]), select, textarea, canvas[tabindex]";
    return [...document.querySelectorAll(controls)].filter(
      control => control.checkVisibility() && !text(control)).map(control => control.outerHTML);"""
    assert page.run(unnamed) == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_would_notice_what_cannot_be_read(page, browser, scheme):
    look(browser, SCHEMES[scheme])
    page.open("about")
    page.run("""const field = document.createElement("input");
    const text = Object.assign(document.createElement("p"), {textContent: "pale"});
    Object.assign(text.style, {color: "#777", backgroundColor: "#888"});
    document.querySelector("main").append(field, text);""")
    assert {finding.rule for finding in page.findings()} == {"label", "color-contrast"}


def test_motion_stops_for_those_who_want_none(page, browser):
    moving = """return [...document.querySelectorAll("*")].filter(element => {
      const style = getComputedStyle(element);
      return parseFloat(style.transitionDuration) > 0 || style.animationName !== "none"; }).length;"""
    page.open("log")
    assert page.run(moving) > 0
    look(browser, reduced_motion=True)
    for view in VIEWS:
        page.go(view)
        assert page.run(moving) == 0


class TestKeyboard:
    @pytest.mark.parametrize("view", VIEWS)
    def test_two_letters_lead_to_a_view_whose_heading_has_the_focus(self, page, view):
        page.open("keys" if view != "keys" else "about")
        page.press("g", view[0])
        page.wait_view(view)
        wait_for(lambda: page.focused()["tag"] == "H1")
        assert page.run("return location.hash") == f"#/{view}"

    def test_letters_that_are_typed_into_a_field_lead_nowhere(self, page):
        page.open("models")
        page.field("Filter by name").click()
        page.press("g", "k")
        assert page.field("Filter by name").get_attribute("value") == "gk"
        assert page.view == "models"

    def test_the_first_tab_skips_to_the_content(self, page):
        page.open("models")
        page.press(Keys.TAB)
        assert page.focused()["text"] == "Skip to the content"
        assert page.run("return document.activeElement.getBoundingClientRect().left") >= 0
        page.press(Keys.ENTER)
        assert page.run("return document.activeElement.id") == "content"

    @pytest.mark.parametrize("view", VIEWS)
    def test_every_control_can_be_reached_and_shows_the_focus(self, page, view):
        page.open(view, model="half_plus_two")
        reached = focus_ring(page)
        assert reached, page.text()
        assert [control for control, is_seen in reached if not is_seen] == []


def focus_ring(page: Page, most: int = 60) -> list[tuple[str, bool]]:
    """What Tab reaches from the beginning of the page, to the end or ``most``, and whether the focus is seen there."""
    page.run("document.activeElement.blur(); scrollTo(0, 0)")
    reached = []
    script = """
    const at = document.activeElement;
    if (!at || at === document.body) return null;
    const style = getComputedStyle(at);
    const ring = parseFloat(style.outlineWidth) >= 2 && style.outlineStyle !== "none" || style.boxShadow !== "none";
    return [at.outerHTML.slice(0, 160), ring];"""
    for _ in range(most):
        page.press(Keys.TAB)
        found = page.run(script)
        if found is None:
            break
        reached.append(tuple(found))
    return reached


def test_a_decision_is_told_to_a_screen_reader(page):
    page.open("models")
    region = page.wait("[aria-live=polite]")
    assert region.get_attribute("id") == "announcements"
    page.go("log")
    assert page.find("[aria-live=polite]") == region  # a region that is new tells nothing
