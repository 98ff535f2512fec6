"""The page asks its own gateway only, breaks nothing of its content security policy, and is small."""

import pytest

from gateway.api.console.assets import console_assets
from tests.console.page import VIEWS

MOST_BYTES = 200_000


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_asks_the_gateway_only_and_breaks_no_policy(page, console_stack, view):
    page.open(view, model="half_plus_two")
    assert page.requested_origins() <= {console_stack.address, "data"}
    assert page.violations() == []
    assert page.console_errors() == []
    assert page.faults() == {}


def test_a_request_elsewhere_and_what_a_policy_refuses_would_be_noticed(page, browser):
    page.open("about")
    page.run("document.body.append(Object.assign(new Image(), {src: 'http://elsewhere.invalid/x.png'}))")
    page.run("document.body.append(Object.assign(document.createElement('script'), {textContent: 'seen.errors.push(1)'}))")
    assert [line.split()[0] for line in page.violations()] == ["img-src", "script-src-elem"]
    assert page.faults().keys() == {"violations"}
    page.load("about")
    page.asynchronous("await fetch('http://127.0.0.1:9/').catch(() => 0)")
    assert any(line.startswith("connect-src") for line in page.violations())
    browser.get("about:blank")  # the page fixture wants none


def test_the_page_is_whole_without_any_other_host(page, console_stack):
    """Every file that it names comes from the gateway, with a status of 200, from a browser that knows no other host."""
    page.open("models")
    loaded = page.run("return performance.getEntriesByType('resource').map(entry => [entry.name, entry.responseStatus])")
    files = {name: status for name, status in loaded if "/console/" in name and "/admin/" not in name}
    assert set(files.values()) == {200}
    assert all(name.startswith(f"{console_stack.address}/console/") for name in files)
    loaded_files = {name.removeprefix(f"{console_stack.address}/console/").partition("/")[2] for name in files}
    assert loaded_files == {path for path in console_assets().files if path.endswith((".js", ".css"))}


def test_all_files_of_the_page_have_few_bytes():
    found = console_assets()
    contents = found.files | {"index.html": found.page}
    sizes = {path: len(content.body) for path, content in contents.items() if not content.media_type.startswith("image/")}
    assert sum(sizes.values()) <= MOST_BYTES, sizes
