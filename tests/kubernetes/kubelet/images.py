"""Which image the Dockerfile would build: command, environment, user and files, read from the Dockerfile itself."""

import json
import shlex
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePosixPath
from string import Template
from typing import Any

ROOT = Path(__file__).resolve().parents[3]

# Name of an image in the manifests -> stage of the Dockerfile. tensorflow/serving cannot be had here; its stand-in has the same
# entrypoint, flags, ports and paths.
STAGES = {"serving-gateway": "gateway", "tensorflow/serving": "model_server"}

# What the image under all others brings.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Image:
    """One stage of the Dockerfile. ``copied`` are pairs of a path of the repository and a path of the image."""

    environment: dict[str, str]
    folder: str = "/"
    user: str = "root"
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    copied: tuple[tuple[str, str], ...] = ()


def image(name: str) -> Image:
    """The image that a manifest calls ``name``. Raises ValueError if it is none of ours."""
    without_tag = name.partition("@")[0].rpartition(":")[0] or name
    if without_tag not in STAGES:
        raise ValueError(f"image {name!r}: expected one of {sorted(STAGES)}")
    return stages()[STAGES[without_tag]]


@cache
def stages() -> dict[str, Image]:
    """Every stage of the Dockerfile by its name."""
    found: dict[str, Image] = {}
    name = ""
    for keyword, rest in _instructions((ROOT / "Dockerfile").read_text()):
        if keyword == "FROM":
            base, _, name = rest.split()
            found[name] = found.get(base, Image({"PATH": _PATH}))
        elif name:
            found[name] = _changed(found[name], keyword, rest)
    return found


def _instructions(text: str) -> list[tuple[str, str]]:
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#")).replace("\\\n", " ")
    pairs = (line.partition(" ") for line in lines.splitlines() if line)
    return [(keyword, rest.strip()) for keyword, _, rest in pairs]


def _changed(before: Image, keyword: str, rest: str) -> Image:
    if keyword == "ENV":
        pairs = (word.partition("=") for word in shlex.split(rest))
        values = {name: Template(value).safe_substitute(before.environment) for name, _, value in pairs}
        return replace(before, environment=before.environment | values)
    fields: dict[str, Any] = {}
    if keyword == "COPY" and "--from" not in rest:
        *sources, target = (word for word in rest.split() if not word.startswith("--"))
        copied = tuple((source, str(PurePosixPath(before.folder) / target)) for source in sources)
        fields = {"copied": before.copied + copied}
    elif keyword in ("ENTRYPOINT", "CMD"):
        fields = {"entrypoint" if keyword == "ENTRYPOINT" else "command": tuple(json.loads(rest))}
    elif keyword in ("WORKDIR", "USER"):
        fields = {"folder" if keyword == "WORKDIR" else "user": rest}
    return replace(before, **fields)
