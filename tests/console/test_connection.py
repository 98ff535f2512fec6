"""The page while its gateway restarts, and behind a proxy that puts a prefix before its addresses."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.console.page import Page
from tests.stack.browser import look
from tests.waiting import free_port, wait_for

NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1; {user}
events {{}}
http {{
  access_log off; client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
  uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
  server {{ listen 127.0.0.1:{port}; location /ml/team/ {{ proxy_pass http://127.0.0.1:{upstream}/; }} }}
}}
"""


@contextmanager
def prefix_before(folder: Path, upstream: int) -> Iterator[str]:
    """An nginx that passes on what is below ``/ml/team/``; that address."""
    port = free_port()
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    assert program, "there is no nginx: install it (Debian: apt-get install nginx)"
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, upstream=upstream, user=""))
    process = subprocess.Popen([program, "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")])
    address = f"http://127.0.0.1:{port}/ml/team"
    try:
        wait_for(lambda: _answers(address))
        yield address
    finally:
        process.terminate()
        process.wait(20)


def _answers(address: str) -> bool:
    try:
        return requests.get(f"{address}/healthz", timeout=10).status_code == 200
    except requests.ConnectionError:
        return False


@pytest.fixture
def edge_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("prefix")
    folder.chmod(0o755)
    return folder


def test_the_page_works_behind_a_prefix(browser, console_stack, edge_folder):
    look(browser)
    with prefix_before(edge_folder, console_stack.gateway_port) as address:
        page = Page(browser, address, console_stack.keys["admin"])
        page.forget()
        page.open("models")
        page.wait("tr[data-model=half_plus_two]")
        for view in ("try", "about", "log"):
            page.go(view, model="half_plus_two")
        assert page.requested_origins() <= {address.removesuffix("/ml/team"), "data"}
        paths = page.run("return performance.getEntriesByType('resource').map(entry => new URL(entry.name).pathname)")
        assert all(path.startswith("/ml/team/") for path in paths if path != ","), paths
        assert page.faults() == {}
        # Without the slash at its end too, from where the page is one level up.
        browser.get(f"{address}/console")
        assert browser.current_url.startswith(f"{address}/console/")


def test_the_page_goes_on_when_its_gateway_is_back(browser, make_console_gateway):
    stack = make_console_gateway()
    look(browser)
    page = Page(browser, stack.address, stack.keys["admin"])
    page.open("models")
    page.wait("tr[data-model=half_plus_two]")
    stack.gateway.stop()
    page.wait_text("does not answer", "header [role=status]")
    assert page.find("tr[data-model=half_plus_two]")  # what was known stays
    stack.start_gateway()
    wait_for(stack.is_ready)
    wait_for(lambda: "does not answer" not in page.text("header"))
    before = stack.get("/metrics").text.count("\n")
    assert before
    for _ in range(3):
        stack.post("/v1/models/half_plus_two:predict", {"instances": [1.0]}, headers=stack.bearer())
    page.go("log")
    page.wait("tr[data-model=half_plus_two]")
    assert page.faults() == {}
