"""GET /admin/console/examples/<model>/<version>: requests that a version brings for people who want to try it.

They are the file ``assets.extra/examples.json`` in the version's folder: a JSON list of ``{"name": ..., "inputs": ...}`` or
``{"name": ..., "instances": ...}``, with a ``signature_name`` where it is not the default. The folder is that of the model
config file, and need not be there: the model server may run on another machine.
"""

import asyncio
import json
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from gateway.api.errors import JSON
from gateway.api.routes import Route
from gateway.api.sight import require_sight
from gateway.call import Answer, Call
from gateway.errors import NotFound
from gateway.inference.catalog import Catalog
from gateway.inference.signature import ModelRef

_FILE: Final = "assets.extra/examples.json"
_MOST_BYTES: Final = 1_000_000
_MOST_VERSION_DIGITS: Final = 19
_FORM: Final = 'a JSON list of {"name": "...", "inputs" or "instances": ...}'

Folders: TypeAlias = Callable[[], Mapping[str, str]]
"""The base path of each model, by its name, as the model config file has it now."""


class Examples:
    """The handler. ``folders``: None without a model config file."""

    def __init__(self, folders: Folders | None, catalog: Catalog) -> None:
        self._folders = folders
        self._catalog = catalog

    def routes(self) -> list[Route]:
        """The route. It reads a file, and so is not answered on the event loop."""
        return [Route("/admin/console/examples/<path:model>/<version>", ("GET",), self.examples, scope="metadata")]

    async def examples(self, call: Call, model: str, version: str) -> Answer:
        """The examples of a version, as they are in its file."""
        require_sight(call, ModelRef(model), self._catalog)
        if not (version.isascii() and version.isdigit() and len(version) <= _MOST_VERSION_DIGITS):
            raise NotFound(f"a version is a whole number, and {version[:40]!r} is none")
        if self._folders is None:
            raise NotFound("the gateway does not know where the models are: GATEWAY_MODEL_CONFIG_FILE is not set")
        folder = self._folders().get(model)
        if not folder:
            raise NotFound(f"the model config file has no base_path of a model {model[:100]!r}")
        content = await asyncio.to_thread(_read, Path(folder), int(version), model)
        return Answer(200, content, [("Content-Type", JSON), ("Cache-Control", "no-cache")])


def _read(folder: Path, version: int, model: str) -> bytes:
    """The file of a version, whose folder's name may begin with zeros. Raises NotFound, which says why there is none."""
    name = f"{model[:100]!r} version {version}"
    try:
        found = next(
            (entry for entry in os.listdir(folder) if entry.isascii() and entry.isdigit() and int(entry) == version), None
        )
    except OSError as error:
        raise NotFound(f"the gateway cannot read the folder of the model {name}: {error.strerror}") from None
    if found is None:
        raise NotFound(f"the gateway sees no folder of {name}")
    try:
        content = _content(folder / found / _FILE)
    except FileNotFoundError:
        raise NotFound(f"{name} has no {_FILE}") from None
    except OSError as error:
        raise NotFound(f"the gateway cannot read {_FILE} of {name}: {error.strerror}") from None
    if len(content) > _MOST_BYTES:
        raise NotFound(f"{_FILE} of {name} has more than {_MOST_BYTES:,} bytes")
    if not _is_list_of_examples(content):
        raise NotFound(f"{_FILE} of {name} is not {_FORM}")
    return content


def _content(path: Path) -> bytes:
    """The first bytes of a regular file, one more than there may be. A pipe in its place is never waited for."""
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(None, "not a regular file")
        return file.read(_MOST_BYTES + 1)


def _is_list_of_examples(content: bytes) -> bool:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, list) and all(map(_is_example, document))


def _is_example(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("name"), str)
        and isinstance(value.get("signature_name", ""), str)
        and ("inputs" in value) != ("instances" in value)
    )
