"""What a publication found out about rows: whether a signature answers rows together as it answers each alone.

Kept beside the version's warm-up file, as `assets.extra/row_independence.json`. Servers ignore it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from model_export.errors import ExportError

PATH = Path("assets.extra", "row_independence.json")

INDEPENDENT = "rows are independent"
_CONSEQUENCE = "requests will not be joined"


@dataclass(frozen=True)
class Finding:
    """About one signature. `independent` is None where it could not be tried. `text` says it in one line."""

    independent: bool | None
    text: str


def independent() -> Finding:
    """Rows got the same answers together as alone."""
    return Finding(True, INDEPENDENT)


def dependent(reason: str) -> Finding:
    """Rows depend on each other, or the declaration allows no joining, because of this reason."""
    return Finding(False, f"{reason}: {_CONSEQUENCE}")


def untried(reason: str) -> Finding:
    """Nothing was found out, because of this reason."""
    return Finding(None, f"rows were not compared: {reason}")


def uncallable(reason: str) -> Finding:
    """No client can ever call the signature, for this reason."""
    return Finding(None, f"can never be called: {reason}")


def write(version_dir: Path, findings: Mapping[str, Finding]) -> None:
    """Write the findings of a version, by signature."""
    path = version_dir / PATH
    path.parent.mkdir(exist_ok=True)
    content = {"signatures": {name: asdict(finding) for name, finding in findings.items()}}
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read(version_dir: Path) -> dict[str, Finding]:
    """Return the findings of a version, by signature; none where nothing was kept. Raises ExportError for a damaged file."""
    path = version_dir / PATH
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["signatures"]
        return {name: Finding(entry["independent"], str(entry["text"])) for name, entry in found.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ExportError(f"{path} is damaged; publish the model again to have its rows compared anew") from error
