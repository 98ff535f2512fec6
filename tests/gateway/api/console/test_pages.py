"""/console/ and its files, over the whole application: what a browser gets, keeps, and is not given."""

import gzip
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin

import pytest

from gateway.api.console.assets import console_assets, read_assets
from tests.gateway.access.made_keys import make_key, write

PAGE = "/console/"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HTML = {"Accept": "text/html"}
FILES = Path(__file__).resolve().parents[4] / "gateway" / "api" / "console" / "static"
IMAGES = (".png", ".svg", ".jpg", ".webp", ".ico")
MOST_BYTES = 200_000
_IMPORTED = re.compile(r"""(?:\bfrom|\bimport)\s*\(?\s*["']([^"']+)["']""")
_OUTSIDE = re.compile(r"""["'`(]\s*(?:https?:)?//(?!www\.w3\.org/)[\w.-]""")  # the names of XML are no addresses


class Elements(HTMLParser):
    """The elements of a page: name, attributes, and the text of each that ends."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_data(self, data):
        if self._open:
            self.texts[self._open[-1]] = self.texts.get(self._open[-1], "") + data

    @property
    def addresses(self) -> list[str]:
        """Those of the files that a browser loads."""
        return [
            attributes[name]
            for tag, attributes in self.found
            for name in ("src", "href")
            if tag in ("script", "link", "img") and name in attributes and not attributes[name].startswith("data:")
        ]


def page(client, headers=None) -> Elements:
    return Elements(client.get(PAGE, headers=headers or {}).text)


def address(client, name: str) -> str:
    """The address of a file as the page has it."""
    [found] = [one for one in page(client).addresses if one.endswith(f"/{name}")]
    return urljoin(PAGE, found)


def test_the_page_is_open_fresh_and_bound_to_its_own_origin(client):
    answer = client.get(PAGE)
    assert (answer.status_code, answer.content_type) == (200, "text/html; charset=utf-8")
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_every_file_that_the_page_names_is_there_and_may_be_kept_for_ever(client):
    addresses = page(client).addresses
    assert {one.partition("/")[2] for one in addresses} >= {"app.js", "console.css", "vendor/uPlot.iife.min.js"}
    for one in addresses:
        answer = client.get(urljoin(PAGE, one))
        assert answer.status_code == 200, one
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        kind = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}[one.rpartition(".")[2]]
        assert answer.content_type == kind


def test_every_module_that_a_file_imports_is_there(client):
    to_read, seen = [address(client, "app.js")], set()
    while to_read:
        here = to_read.pop()
        seen.add(here)
        answer = client.get(here)
        assert answer.status_code == 200, here
        own = "/vendor/" not in here
        to_read += [found for name in _IMPORTED.findall(answer.text) if own and (found := urljoin(here, name)) not in seen]
    assert any(name.endswith("/vendor/htm-preact.js") for name in seen)
    hashes = {name.split("/")[2] for name in seen}
    assert hashes == {console_assets().hash}  # the hash is part of the address of each


def test_the_page_has_no_script_and_no_style_of_its_own(client):
    found = page(client)
    assert all("src" in attributes for tag, attributes in found.found if tag == "script")
    assert not found.texts.get("script", "").strip()
    assert "style" not in {tag for tag, _ in found.found}
    for tag, attributes in found.found:
        assert not [name for name in attributes if name == "style" or name.startswith("on")], tag


def test_no_file_of_ours_loads_from_another_origin_or_makes_code_or_markup_of_text():
    own = [path for path in FILES.rglob("*") if path.suffix in (".html", ".js", ".css") and path.parent.name != "vendor"]
    assert len(own) >= 3
    for path in own:
        text = path.read_text()
        assert not _OUTSIDE.search(text), path.name
        for forbidden in (
            "innerHTML",
            "InnerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "@import",
        ):
            assert forbidden not in text, f"{forbidden} in {path.name}"


def test_without_scripts_the_page_says_what_it_needs_and_where_the_data_is(client):
    found = page(client)
    assert "JavaScript" in found.texts["p"]
    links = [attributes["href"] for tag, attributes in found.found if tag == "a"]
    assert links
    for link in links:
        assert client.get(urljoin(PAGE, link)).status_code == 200, link


def test_all_files_but_images_have_at_most_so_many_bytes_together():
    sizes = {path: path.stat().st_size for path in FILES.rglob("*") if path.is_file() and path.suffix not in IMAGES}
    assert sum(sizes.values()) <= MOST_BYTES, sizes


def test_every_file_is_one_that_is_given_out():
    found = {str(path.relative_to(FILES)) for path in FILES.rglob("*") if path.is_file()}
    assert found == {*console_assets().files, "index.html"}


@pytest.mark.parametrize("accepted", ["gzip", "gzip, deflate, br", "*", "br;q=1, gzip;q=0.5"])
def test_a_browser_that_takes_gzip_gets_it(client, accepted):
    for path in (PAGE, address(client, "vendor/simple.min.css")):
        plain, compressed = client.get(path), client.get(path, headers={"Accept-Encoding": accepted})
        assert compressed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(compressed.data) == plain.data
        assert len(compressed.data) < len(plain.data)
        assert plain.headers["Vary"] == compressed.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize("accepted", ["", "identity", "br", "gzip;q=0"])
def test_others_get_it_plain(client, accepted):
    answer = client.get(PAGE, headers={"Accept-Encoding": accepted})
    assert "Content-Encoding" not in answer.headers
    assert answer.data.startswith(b"<!doctype html>")


def test_who_has_a_file_is_only_told_so(client):
    for path in (PAGE, address(client, "app.js")):
        first = client.get(path)
        for known in (
            first.headers["ETag"],
            first.headers["ETag"].removeprefix("W/"),
            f'"other", {first.headers["ETag"]}',
            "*",
        ):
            again = client.get(path, headers={"If-None-Match": known})
            assert (again.status_code, again.data) == (304, b""), known
            for name in ("ETag", "Cache-Control", "Vary"):
                assert again.headers[name] == first.headers[name]
        assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_head_tells_the_length_and_sends_nothing(client):
    for path in (PAGE, address(client, "app.js")):
        got, head = client.get(path), client.http.head(path)
        assert (head.status_code, head.data) == (200, b"")
        assert head.headers["Content-Length"] == got.headers["Content-Length"] == str(len(got.data))


def test_under_the_hash_of_another_version_a_file_is_given_but_not_kept(client):
    answer = client.get(f"{PAGE}0123456789abcdef/app.js")
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    "name",
    [
        *("index.html", "nothing.js", "", "vendor", "vendor/", "../routes.py", "%2e%2e/routes.py", "..%2froutes.py", "app.js/"),
        *("vendor/../../routes.py", "..%5croutes.py", "%2e%2e%2froutes.py", "app.js%00", "/etc/passwd", "//app.js", "./app.js"),
        *("../vendored/README.md", "APP.JS", "app.js.gz", "__init__.py"),
    ],
)
def test_nothing_but_the_files_is_given_out(client, name):
    for digest in (console_assets().hash, "x"):
        assert client.get(f"{PAGE}{digest}/{name}").status_code == 404


def test_other_methods_are_405(client):
    for path in (PAGE, address(client, "app.js")):
        answer = client.post(path, {})
        assert answer.status_code == 405
        assert "GET" in answer.headers["Allow"]


@pytest.mark.parametrize("prefix", ["", "/gateway", "/a/b"])
def test_behind_a_proxy_that_takes_a_prefix_off_all_addresses_lead_to_it(client, prefix):
    moved = client.get("/console")
    assert (moved.status_code, moved.headers["Location"]) == (308, "console/")
    here = urljoin(f"http://proxy{prefix}/console", moved.headers["Location"])
    assert here == f"http://proxy{prefix}/console/"
    for one in page(client).addresses:
        whole = urljoin(here, one)
        assert whole.startswith(f"http://proxy{prefix}/console/")
        assert client.get(whole.removeprefix(f"http://proxy{prefix}")).status_code == 200


def test_the_first_page_leads_to_it_first(client):
    links = re.findall(r'<a href="([^"]+)"', client.get("/", headers=HTML).text)
    assert links[0] == "console/"
    assert next(iter(client.get("/").json["links"].values())) == PAGE


def test_switched_off_there_is_no_page_no_data_and_no_link(make_client, config_file):
    client = make_client(model_config_file=config_file, console="off")
    paths = (PAGE, "/console", f"{PAGE}{console_assets().hash}/app.js", "/admin/console/caller", "/admin/console/models.json")
    for path in paths:
        answer = client.get(path)
        assert answer.status_code == 404, path
        assert answer.json["error"] == "NOT_FOUND"
    assert "console" not in client.get("/", headers=HTML).text
    assert "console" not in client.get("/").json["links"]


def test_where_keys_are_asked_for_the_page_and_its_files_need_none_and_tell_of_no_model(make_client, config_file, tmp_path):
    write(tmp_path / "keys.jsonl", make_key()[1])
    client = make_client(model_config_file=config_file, keys_file=tmp_path / "keys.jsonl")
    assert client.get(PAGE).data == console_assets().page.body
    assert client.get(address(client, "app.js")).status_code == 200


def test_another_byte_in_a_file_is_another_hash_and_so_is_another_name(tmp_path):
    def made(**files: str) -> str:
        folder = tmp_path / "_".join([*files, *files.values()])
        folder.mkdir()
        for name, text in {"index": "{assets}", **files}.items():
            (folder / f"{name}.{'html' if name == 'index' else 'js'}").write_text(text)
        found = read_assets(folder)
        assert found.page.body.decode() == found.hash
        return found.hash

    assert len({made(a="1"), made(a="2"), made(b="1"), made(a="1", b="1"), made(a="", b="11")}) == 5
