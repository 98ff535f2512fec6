"""GET /admin/settings: which gateway this is, what it runs on, and how it is set. Scope ``admin``. Nothing in it is secret."""

import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any, Final

from gateway.api.errors import json_answer
from gateway.api.routes import Route
from gateway.call import Answer, Call

PACKAGES: Final = (
    "cachetools",
    "click",
    "Flask",
    "flask-swagger-ui",
    "grpcio",
    "gunicorn",
    "httptools",
    "marshmallow",
    "ml_dtypes",
    "msgspec",
    "numpy",
    "orjson",
    "prometheus-client",
    "protobuf",
    "psycopg",
    "pysimdjson",
    "redis",
    "SQLAlchemy",
    "structlog",
    "tensorflow-serving-api",
    "uvloop",
)
"""What the gateway needs to run, as ``pyproject.toml`` has it."""


class Settings:
    """The handler. ``version``: of the gateway. ``rows``: its settings, each for JSON, without secrets."""

    def __init__(self, version: str, rows: Sequence[Mapping[str, Any]]) -> None:
        self._document = {
            "version": version,
            "python": platform.python_version(),
            "packages": installed(PACKAGES),
            "settings": rows,
        }

    def routes(self) -> list[Route]:
        """The route."""
        return [Route("/admin/settings", ("GET",), self.settings, scope="admin")]

    async def settings(self, call: Call) -> Answer:
        """The settings of the process that answers; all workers have the same."""
        return json_answer(self._document)


def installed(packages: Sequence[str]) -> dict[str, str]:
    """The versions of those of ``packages`` that are installed, by name."""
    found = {}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
