"""A page of another origin in a real browser: it calls the gateway with a key, and reads the answer and its headers."""

import json
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests.gateway.access.made_keys import make_key, write
from tests.stack.browser import chromium
from tests.stack.held_gateway import held_gateway
from tests.waiting import free_port

CALL = """
const [address, key, done] = arguments;
fetch(address + "/v1/models/m:predict", {
  method: "POST",
  headers: {"Content-Type": "application/json", "Authorization": "Bearer " + key, "X-Request-Id": "from-the-page"},
  body: JSON.stringify({instances: [[1, 2]]}),
}).then(async (answer) => done({
  status: answer.status,
  id: answer.headers.get("X-Request-Id"),
  version: answer.headers.get("X-Model-Version"),
  left: answer.headers.get("RateLimit"),
  body: await answer.text(),
})).catch((error) => done({error: String(error)}));
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("browser")) as driver:
        yield driver


@contextmanager
def page_at(folder, port):
    """A server of an empty page, as an application's own."""
    (folder / "index.html").write_text("<!doctype html><title>app</title>")
    with ThreadingHTTPServer(("127.0.0.1", port), partial(SimpleHTTPRequestHandler, directory=folder)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{port}"
        server.shutdown()


def test_a_listed_page_calls_with_a_key_and_reads_answers_and_refusals_and_no_other_page_does(browser, tmp_path):
    port, (text, key) = free_port(), make_key(limits="1/hour")
    write(tmp_path / "keys.jsonl", key)
    settings = {"keys_file": tmp_path / "keys.jsonl", "cors_origins": f"http://127.0.0.1:{port}"}
    with (
        held_gateway(tmp_path, 1, **settings) as gateway,
        page_at(tmp_path, port) as listed,
        page_at(tmp_path, free_port()) as other,
    ):
        browser.get(listed)
        answered, refused = (browser.execute_async_script(CALL, gateway.address, text) for _ in range(2))
        browser.get(other)
        unread = browser.execute_async_script(CALL, gateway.address, text)
    assert (answered["status"], answered["id"], answered["version"]) == (200, "from-the-page", "1")
    assert json.loads(answered["body"]) == {"predictions": [[2.0, 4.0]]}
    assert answered["left"] == '"1/hour";r=0;t=3600'
    assert (refused["status"], "is used up" in refused["body"]) == (429, True)
    assert "error" in unread
