"""/console/: the page, which holds no data and needs no key, and its files, which browsers keep for as long as they like."""

from typing import Final

from gateway.api.console.answers import kept_answer
from gateway.api.console.assets import Assets
from gateway.api.routes import Route
from gateway.call import Answer, Call
from gateway.errors import NotFound

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = [
    ("Content-Security-Policy", _POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
]
_FRESH: Final = [*_HEADERS, ("Cache-Control", "no-cache")]
_KEPT: Final = [*_HEADERS, ("Cache-Control", "public, max-age=31536000, immutable")]


class Pages:
    """The handlers of the page and its files."""

    def __init__(self, assets: Assets) -> None:
        self._assets = assets

    def routes(self) -> list[Route]:
        """The routes. All is in memory: none waits for a thread."""
        return [
            Route("/console/", ("GET",), self.page, on_loop=True),
            Route("/console/<digest>/<path:name>", ("GET",), self.asset, on_loop=True),
        ]

    async def page(self, call: Call) -> Answer:
        """The page. Its addresses are relative to its own, which ends with a slash."""
        if not call.path.endswith("/"):
            return Answer(308, b"", [("Location", "console/"), *_FRESH])
        return kept_answer(call, self._assets.page, _FRESH)

    async def asset(self, call: Call, digest: str, name: str) -> Answer:
        """A file of the page. It is not kept under another hash, by which a page of another version asks that is still open."""
        found = self._assets.files.get(name)
        if found is None:
            raise NotFound(f"there is no route {call.path}")
        return kept_answer(call, found, _KEPT if digest == self._assets.hash else _FRESH)
