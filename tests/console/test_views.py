"""What the views Models, Log and Keys, and the form of Rollouts, do with what is clicked and typed while they poll."""

import pytest
from selenium.webdriver import Keys

from tests.console.stack import PLANTED, TWO_VERSIONS
from tests.stack.rollout_versions import DIFFERS, STABLE
from tests.waiting import wait_for


def test_the_figures_come_although_the_gateway_had_none_at_first(page):
    page.open("about")
    page.between("""
    const answer = await ask(url, options);
    if (!url.includes("ring.json") || window.isOld) return answer;
    window.isOld = true;
    const ring = await answer.json(), total = Object.fromEntries(Object.keys(ring.total).map(name => [name, []]));
    return Response.json({...ring, now: null, since: null, t: [], recent: {}, total});""")
    page.go("models")
    wait_for(lambda: page.text(".chart small"))
    assert not page.find("main [role=alert]")


def test_compare_leads_to_versions_that_are_ready_and_a_lag_is_told_once(page):
    page.open("about")
    page.between("""
    const answer = await ask(url, options);
    if (!url.includes("models.json")) return answer;
    const {models} = await answer.json();
    const {problems, lagging, versions} = models.find(({name}) => name === "two_versions");
    lagging.push({server: "127.0.0.1:1", lacks: "version 1"});
    problems.push("127.0.0.1:1 lags: version 1");
    versions.unshift({...versions[0], version: "9", state: "END", reason: "it is broken"});
    return Response.json({models});""")
    page.go("models")
    page.wait(row := f"tr[data-model={TWO_VERSIONS}]")
    texts = page.run("return [...document.querySelectorAll(arguments[0])].map(row => row.innerText)", row)
    assert [text.count("127.0.0.1:1") for text in texts] == [1, 1, 1]
    page.run("document.querySelector(arguments[0]).click()", f"{row} a[href^='#/compare']")
    page.wait_view("compare")
    assert f"a={STABLE}&b={DIFFERS}" in page.driver.current_url


@pytest.fixture
def logged(console_stack):
    """Two requests in the log, of which one is refused."""
    for value, status in ((1.0, 200), ("a", 400)):
        answer = console_stack.post("/v1/models/half_plus_two:predict", {"instances": [value]}, headers=console_stack.bearer())
        assert answer.status_code == status


def test_a_filter_of_the_log_counts_after_a_row_was_opened_too(page, logged):
    page.open("log", model="half_plus_two")
    wait_for(lambda: {"200", "400"} <= set(statuses(page)))
    page.button(page.run("return document.querySelector('tbody button').textContent")).click()
    assert page.has_button("Go on")
    page.field("Status").send_keys("400", Keys.ENTER)
    wait_for(lambda: set(statuses(page)) == {"400"})
    page.button("Pause").click()
    page.driver.back()
    wait_for(lambda: "200" in statuses(page))


def statuses(page) -> list[str]:
    return page.run("return [...document.querySelectorAll('tbody .state')].map(state => state.textContent)")


def test_a_new_key_is_copied_by_hand_where_the_browser_has_no_clipboard_for_pages(page):
    page.open("keys")
    page.run("Object.defineProperty(navigator, 'clipboard', {value: undefined})")  # as over plain HTTP
    page.between("""
    if (options.method !== "POST") return ask(url, options);
    return Response.json({key: "sgk_new"});""")
    page.wait("tr[data-key=looks]")
    page.button("Rotate", "tr[data-key=looks]").click()
    page.button("Make a second key").click()
    page.button("Copy", "dialog").click()
    page.wait_text("Copy it by hand.", "dialog [role=status]")


def test_what_is_typed_into_the_forms_of_rollouts_stays_while_polls_come_and_fail(page):
    page.open("about")
    page.between("""
    if (!/admin\\/rollouts(\\/planted)?$/.test(url)) return ask(url, options);
    window.polls ??= [0, 0];
    const count = window.polls[Number(url.endsWith("planted"))] += 1;
    if (url.endsWith("planted")) {
      if (count === 2) throw new TypeError("this poll fails");
      return ask(url, options);
    }
    return Response.json(await (await ask(url, options)).json());""")
    page.go("rollouts", model=PLANTED)
    page.field("New version").send_keys("7")
    page.field("Model").send_keys("_other")
    lists, ones = page.run("return polls")
    # A poll that fails is tried again when the page is looked at.
    look_again = "document.dispatchEvent(new Event('visibilitychange')); return polls"
    wait_for(lambda: (polls := page.run(look_again))[0] >= lists + 3 and polls[1] >= max(ones, 2) + 2)
    assert page.field("New version").get_attribute("value") == "7"
    assert page.field("Model").get_attribute("value") == f"{PLANTED}_other"
