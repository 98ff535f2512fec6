"""The files of the page: read once, under one hash of all of them, plain and compressed.

The hash is part of each file's address, so that browsers keep the files for as long as they like, and the files name each other
by addresses relative to their own.
"""

import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

from gateway.api.console.answers import Content, etag_of

PAGE: Final = "index.html"
_PLACE: Final = b"{assets}"
_HASH_LETTERS: Final = 16
_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
}
_COMPRESSED: Final = ("html", "css", "js", "svg")


@dataclass(frozen=True, slots=True)
class Assets:
    """All files by their paths, such as ``vendor/htm-preact.js``. ``page`` names the others under ``hash``."""

    hash: str
    files: dict[str, Content]
    page: Content


@cache
def console_assets() -> Assets:
    """The files of this installation."""
    return read_assets(resources.files("gateway.api.console").joinpath("static"))


def read_assets(folder: Traversable) -> Assets:
    """The files of ``folder``. Those whose names end in nothing that a browser is sent are left out."""
    found = dict(sorted(_found(folder, "")))
    digest = hashlib.sha256()
    for path, body in found.items():
        digest.update(b"%d %b %d " % (len(path), path.encode(), len(body)))
        digest.update(body)
    name = digest.hexdigest()[:_HASH_LETTERS]
    page = found.pop(PAGE).replace(_PLACE, name.encode())
    return Assets(name, {path: _asset(path, body) for path, body in found.items()}, _asset(PAGE, page))


def _found(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        path = prefix + entry.name
        if entry.is_dir():
            yield from _found(entry, f"{path}/")
        elif _ending(path) in _TYPES:
            yield path, entry.read_bytes()


def _asset(path: str, body: bytes) -> Content:
    ending = _ending(path)
    compressed = gzip.compress(body, mtime=0) if ending in _COMPRESSED else None
    return Content(body, compressed, _TYPES[ending], etag_of(body))


def _ending(path: str) -> str:
    return path.rpartition(".")[2]
