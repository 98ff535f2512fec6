"""``python -m deploy.console_assets``: fetches the console's libraries by npm, and holds its files against them.

The table of ``vendored/README.md`` says which files there are, of which packages, and their SHA-256.
"""

import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

FOLDER: Final = Path(__file__).resolve().parent.parent / "gateway" / "api" / "console"
TABLE: Final = FOLDER / "vendored" / "README.md"
_ROW: Final = re.compile(
    r"\| `(?P<file>[^`]+)` \| `(?P<package>[^`]+)` \| (?P<version>\S+) \| `(?P<source>[^`]+)` \| (?P<bytes>\d+) "
    r"\| `(?P<sha256>[0-9a-f]{64})` \| (?P<licence>[^|]+) \|"
)

Fetch = Callable[[str, str], bytes]
"""The file of a package (``name@version``) at a path in it. Raises AssetError."""


class AssetError(Exception):
    """Raised when a file is not what the table says; the message says which, what was expected, and what came."""


class Row(NamedTuple):
    """One file: its path in the console's folder, and where it comes from."""

    file: str
    package: str
    version: str
    source: str
    size: int
    sha256: str
    licence: str


def rows(table: str) -> list[Row]:
    """The rows of the table in ``table``, a text in Markdown."""
    found = [match.groupdict() for match in map(_ROW.fullmatch, table.splitlines()) if match]
    return [Row(size=int(fields.pop("bytes")), **fields) for fields in found]


def compare(table: list[Row], folder: Path, fetch: Fetch) -> Iterator[str]:
    """Hold each file of ``folder`` against its package, and write it anew if it differs. Gives a line for each file.

    Raises:
        AssetError: a package has another file than the table says.
    """
    for row in table:
        body = fetch(f"{row.package}@{row.version}", row.source)
        got = hashlib.sha256(body).hexdigest()
        if got != row.sha256 or len(body) != row.size:
            where = f"{row.source} of {row.package} {row.version}"
            raise AssetError(f"{where}: expected {row.size} bytes with the SHA-256 {row.sha256}, got {len(body)} with {got}")
        path = folder / row.file
        is_same = path.is_file() and path.read_bytes() == body
        if not is_same:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
        yield f"{'equal' if is_same else 'written'}: {row.file} ({row.package} {row.version})"


def npm(folder: Path) -> Fetch:
    """What fetches by ``npm pack`` into ``folder``, each package once."""
    packed: dict[str, Path] = {}

    def fetch(package: str, source: str) -> bytes:
        if package not in packed:
            packed[package] = folder / _pack(package, folder)
        with tarfile.open(packed[package]) as archive:
            try:
                file = archive.extractfile(f"package/{source}")
            except KeyError:
                file = None
            if file is None:
                raise AssetError(f"{package} has no file {source}")
            return file.read()

    return fetch


def _pack(package: str, folder: Path) -> str:
    try:
        done = subprocess.run(
            ["npm", "pack", "--json", "--ignore-scripts", package],  # noqa: S607
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
    except FileNotFoundError:
        raise AssetError("npm: expected the program of Node.js, and there is none") from None
    except subprocess.CalledProcessError as error:
        raise AssetError(f"npm pack {package}: {error.stderr.strip()}") from error
    return str(json.loads(done.stdout)[0]["filename"])


def main() -> None:
    """Compare all files, and say of each what was found."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            for line in compare(rows(TABLE.read_text(encoding="utf-8")), FOLDER, npm(Path(folder))):
                print(line)
        except AssetError as error:
            sys.exit(f"console-assets: {error}")


if __name__ == "__main__":
    main()
