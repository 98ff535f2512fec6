"""The console in a browser: opens its views, and tells what they asked for, what they broke and what their users meet."""

import importlib.resources
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from selenium.common.exceptions import JavascriptException, NoSuchElementException, StaleElementReferenceException
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.waiting import wait_for

VIEWS = ("models", "try", "compare", "rollouts", "log", "keys", "about")
KEY_ITEM = "gateway-key"  # of the session's storage
_AXE = importlib.resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
_READY_S = 20.0

# Before any script of a page: what would be noticed by nobody otherwise.
_WATCH = """
window.seen = {violations: [], errors: [], dialogs: []};
addEventListener("securitypolicyviolation", event => seen.violations.push(
  `${event.effectiveDirective} ${event.blockedURI} at ${event.sourceFile}:${event.lineNumber}`));
addEventListener("error", event => seen.errors.push(String(event.message)));
addEventListener("unhandledrejection", event => seen.errors.push(`rejected: ${event.reason}`));
for (const name of ["alert", "confirm", "prompt"]) window[name] = text => { seen.dialogs.push(`${name}: ${text}`); };
"""


@dataclass(frozen=True)
class Finding:
    """What axe found: its rule, how serious it is, and where."""

    rule: str
    impact: str
    places: tuple[str, ...]


class Page:
    """The console at ``address``, in the browser's tab that is in front. ``key``: what callers have put in, or none."""

    def __init__(self, driver: Chrome, address: str, key: str = "") -> None:
        self.driver = driver
        self.address = address
        self.key = key
        self.watch()

    def watch(self) -> None:
        """Tell from now on what this tab breaks: each tab needs it once."""
        if self.driver.current_window_handle not in _watched(self.driver):
            self.driver.execute_cdp_cmd("Page.enable", {})
            self.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _WATCH})
            _watched(self.driver).add(self.driver.current_window_handle)

    def new_tab(self) -> str:
        """Open a tab, and go there; its handle, for `to_tab`."""
        self.driver.switch_to.new_window("tab")
        self.watch()
        return self.driver.current_window_handle

    def to_tab(self, handle: str) -> None:
        """Bring a tab to the front."""
        self.driver.switch_to.window(handle)

    def open(self, view: str = "models", **params: object) -> "Page":
        """Load the page anew at a view, with ``key`` where it has one, and wait until the view is there."""
        self.load(view, **params)
        return self.wait_view(view)

    def load(self, view: str = "models", **params: object) -> None:
        """Load the page anew, and wait for nothing."""
        # The storage belongs to the gateway's origin, of which any answer will do. From there the page loads anew.
        self.driver.get(f"{self.address}/healthz")
        self.driver.execute_script("sessionStorage.clear()")
        if self.key:
            self.driver.execute_script("sessionStorage.setItem(arguments[0], arguments[1])", KEY_ITEM, self.key)
        self.driver.get(f"{self.address}/console/{fragment(view, **params)}")

    def go(self, view: str, **params: object) -> "Page":
        """Go to a view as a link does, without loading the page."""
        self.driver.execute_script("location.hash = arguments[0]", fragment(view, **params))
        return self.wait_view(view)

    def wait_view(self, view: str) -> "Page":
        """Wait until the view has its heading, and all that it begins with has come."""
        try:
            wait_for(lambda: self.view == view and self.find("main h1") and "Loading…" not in self.text(), _READY_S)
        except AssertionError:
            raise AssertionError(f"the view {view} is not there but {self.view!r}: {self.text()}\n{self.faults()}") from None
        return self

    @property
    def view(self) -> str | None:
        """The view that is shown."""
        main = self.find("main")
        try:
            return main.get_attribute("data-view") if main else None
        except StaleElementReferenceException:
            return None

    def text(self, selector: str = "body") -> str:
        """The text that is seen in the first such element; none of an element that is gone."""
        return self.run("const found = document.querySelector(arguments[0]); return found ? found.innerText : ''", selector)

    def wait_text(self, text: str, selector: str = "body", timeout_s: float = _READY_S) -> str:
        """The text of the element, once ``text`` is in it."""
        try:
            return wait_for(lambda: (whole := self.text(selector)) if text in self.text(selector) else "", timeout_s)
        except AssertionError:
            raise AssertionError(f"not shown: {text!r} in {self.text(selector)!r}") from None

    def find(self, selector: str) -> WebElement | None:
        """The first such element, if there is one."""
        try:
            return self.driver.find_element(By.CSS_SELECTOR, selector)
        except NoSuchElementException:
            return None

    def wait(self, selector: str, timeout_s: float = _READY_S) -> WebElement:
        """The first such element, once it is there."""
        return wait_for(lambda: self.find(selector), timeout_s)

    def button(self, text: str, within: str = "body") -> WebElement:
        """The button of that text, once it is there and can be used."""
        return wait_for(lambda: self._named("button", text, within, is_usable=True), _READY_S)

    def has_button(self, text: str, within: str = "body") -> bool:
        """Whether such a button is there and can be used."""
        return self._named("button", text, within, is_usable=True) is not None

    def field(self, label: str, within: str = "body") -> WebElement:
        """The control that a label of that text, or an ``aria-label``, names."""
        script = """
        const named = control => [control.ariaLabel || "", ...[...(control.labels || [])].map(label => label.textContent)];
        return [...document.querySelector(arguments[1]).querySelectorAll("input, select, textarea")].find(
          control => named(control).some(name => name.toLowerCase().includes(arguments[0].toLowerCase()))) || null;"""
        return wait_for(lambda: self.run(script, label, within), _READY_S)

    def _named(self, tag: str, text: str, within: str, is_usable: bool) -> WebElement | None:
        script = """
        return [...document.querySelectorAll(`${arguments[2]} ${arguments[0]}`)].find(
          found => found.textContent.trim() === arguments[1] && !(arguments[3] && found.disabled)
            && found.checkVisibility()) || null;"""
        return self.run(script, tag, text, within, is_usable)

    def run(self, script: str, *arguments: object) -> Any:
        """What a script returns; None where an element of its arguments is gone."""
        return self.driver.execute_script(script, *arguments)

    def asynchronous(self, body: str, *arguments: object) -> Any:
        """What an async function of ``body`` returns, whose parameter ``given`` is the list of arguments."""
        script = f"""
        const done = arguments[arguments.length - 1], given = [...arguments].slice(0, -1);
        (async () => {{ {body} }})().then(value => done({{value}}), error => done({{error: String(error?.stack || error)}}));"""
        answer = self.driver.execute_async_script(script, *arguments)
        if "error" in answer:
            raise JavascriptException(answer["error"])
        return answer.get("value")

    def between(self, script: str) -> None:
        """Let ``script``, an async function of ``ask``, ``url`` and ``options``, answer what this page asks for."""
        self.run(f"const ask = window.fetch; window.fetch = async (url, options) => {{ {script} }};")

    def module(self, name: str) -> str:
        """The address of one of the page's own modules, for ``import()``."""
        return self.run("return new URL(arguments[0], document.querySelector('script[type=module]').src).href", name)

    def press(self, *keys: str) -> None:
        """Press keys one after the other, wherever the focus is."""
        actions = ActionChains(self.driver)
        for key in keys:
            actions.send_keys(key)
        actions.perform()

    def replace(self, text: str) -> None:
        """Type into the field with the focus, in place of what is in it."""
        ActionChains(self.driver).key_down(Keys.CONTROL).send_keys("a").key_up(Keys.CONTROL).send_keys(text).perform()

    def tab_to(self, is_wanted: Callable[[dict[str, Any]], bool], most: int = 300) -> dict[str, Any]:
        """Press Tab until the element with the focus is wanted, as somebody without a mouse does; what it is.

        Raises:
            AssertionError: none of the next ``most`` is.
        """
        passed = []
        for _ in range(most):
            focused = self.focused()
            if is_wanted(focused):
                return focused
            passed.append(focused["text"] or focused["label"])
            self.press(Keys.TAB)
        raise AssertionError(f"none of {passed} is wanted")

    def focused(self) -> dict[str, Any]:
        """What has the focus: its ``tag``, ``text``, ``label``, ``value`` and ``type``, and whether it is ``disabled``."""
        return self.run("""
        const at = document.activeElement;
        const label = [at.ariaLabel || "", ...[...(at.labels || [])].map(label => label.textContent.trim())].join(" ").trim();
        return {tag: at.tagName, id: at.id, label, value: at.value || "", type: at.type || "", disabled: !!at.disabled,
          text: (at.tagName === "INPUT" || at.tagName === "BODY" ? "" : at.textContent).trim(),
          inDialog: !!at.closest("dialog")};""")

    def requested_origins(self) -> set[str]:
        """The origins that were asked for anything since the last look, and the schemes of what has none."""
        found = set()
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] in ("Network.requestWillBeSent", "Network.webSocketCreated"):
                params = message["params"]
                scheme, _, rest = (params.get("request") or params)["url"].partition(":")
                found.add(f"{scheme}://{rest.split('/')[2]}" if rest.startswith("//") else scheme)
        return found

    def violations(self) -> list[str]:
        """What the content security policy has refused since the page was loaded."""
        return self.run("return window.seen ? seen.violations : ['the page was not watched']")

    def faults(self) -> dict[str, list[str]]:
        """Violations of the policy, errors that nobody caught and dialogs that were opened, where there are any."""
        return {name: texts for name, texts in self.run("return window.seen || {}").items() if texts}

    def console_errors(self) -> list[str]:
        """What the browser's console has as an error since the last look, without answers of an error's status."""
        lines = [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]
        return [line for line in lines if "Failed to load resource: the server responded with a status" not in line]

    def forget(self) -> None:
        """Leave out of `requested_origins` and `console_errors` what has come until now."""
        for kind in ("browser", "performance"):
            self.driver.get_log(kind)

    def findings(self, *impacts: str) -> list[Finding]:
        """What axe finds of these impacts (without any: serious and critical)."""
        if not self.run("return !!window.axe"):
            self.driver.execute_script(_AXE)
        found = self.asynchronous("return (await axe.run(document, {resultTypes: ['violations']})).violations")
        wanted = impacts or ("serious", "critical")
        return [Finding(rule["id"], rule["impact"], _places(rule)) for rule in found if rule["impact"] in wanted]


def fragment(view: str, **params: object) -> str:
    """The part of an address after ``#``, with it."""
    return f"#/{view}" + (f"?{urlencode(params)}" if params else "")


def _places(rule: dict[str, Any]) -> tuple[str, ...]:
    return tuple(f"{node['html'][:200]} {node['failureSummary']}" for node in rule["nodes"])


def _watched(driver: Chrome) -> set[str]:
    return driver.__dict__.setdefault("watched_tabs", set())
