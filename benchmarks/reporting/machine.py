"""What a result was measured on: the machine and its load at the start, and versions."""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from benchmarks.contender import ROOT

_PACKAGES: Final = (
    "fastapi", "Flask", "gevent", "grpcio", "gunicorn", "httptools", "keras", "marshmallow", "msgspec", "numpy", "orjson",
    "prometheus-client", "protobuf", "pysimdjson", "structlog", "tensorflow-cpu", "tensorflow", "tensorflow-serving-api",
    "uvicorn", "uvloop", "Werkzeug",
)  # fmt: skip
# Of the cores, in use by others at the start.
_BUSY: Final = 0.25


def describe() -> dict[str, Any]:
    """Everything, as it is now."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _field("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_average": [round(value, 2) for value in os.getloadavg()],
        "wrk": _wrk_version(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
        "commit": _commit(),
    }


def is_busy(about: Mapping[str, Any]) -> bool:
    """Whether others used the machine when it was described."""
    return bool(about["load_average"][0] > _BUSY * about["cores"])


def _field(file: str, name: str) -> str:
    found = re.search(rf"^{name}\s*:\s*(.+)$", Path(file).read_text(encoding="utf-8"), re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _wrk_version() -> str:
    path = shutil.which("wrk")
    told = subprocess.run([path, "-v"], capture_output=True, text=True, check=False).stdout if path else ""
    return [*told.split(), "", "unknown"][1]


def _commit() -> str | None:
    """The commit that is checked out, with a + when files differ from it; None outside of a clone."""
    try:
        told = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--exclude=*"],  # noqa: S607 - whichever git the user has
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
    except OSError:
        return None
    return told.stdout.strip() or None
