"""The libraries of the page are the files of the packages that the table names, with their licences."""

import hashlib
from pathlib import Path

import pytest

from deploy.console_assets import FOLDER, TABLE, AssetError, Row, compare, rows

ROWS = rows(TABLE.read_text())


def row_of(body: bytes, **changes: str) -> Row:
    sha256 = hashlib.sha256(body).hexdigest()
    return Row("static/vendor/a.js", "a", "1.0.0", "dist/a.js", len(body), sha256, "MIT")._replace(**changes)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.file)
def test_a_file_is_the_one_of_the_table(row):
    body = (FOLDER / row.file).read_bytes()
    assert (len(body), hashlib.sha256(body).hexdigest()) == (row.size, row.sha256)
    assert row.licence


def test_the_table_has_every_file_of_others_and_the_licence_of_each_package():
    found = [path for folder in ("static/vendor", "vendored") for path in (FOLDER / folder).iterdir()]
    assert {row.file for row in ROWS} == {str(path.relative_to(FOLDER)) for path in found} - {"vendored/README.md"}
    licensed = {row.package for row in ROWS if row.source.startswith("LICENSE")}
    assert {row.package for row in ROWS} == licensed
    assert len(TABLE.read_text().partition("|---|")[2].strip().splitlines()) == len(ROWS) + 1  # no row is left out for its form


def test_a_file_that_was_changed_is_told_and_written_anew(tmp_path):
    row = row_of(b"good")

    def fetch(package: str, source: str) -> bytes:
        assert (package, source) == ("a@1.0.0", "dist/a.js")
        return b"good"

    file = tmp_path / row.file
    assert list(compare([row], tmp_path, fetch)) == ["written: static/vendor/a.js (a 1.0.0)"]
    assert list(compare([row], tmp_path, fetch)) == ["equal: static/vendor/a.js (a 1.0.0)"]
    file.write_bytes(b"changed here")
    assert list(compare([row], tmp_path, fetch)) == ["written: static/vendor/a.js (a 1.0.0)"]
    assert file.read_bytes() == b"good"


def test_a_package_with_another_file_is_refused_and_nothing_is_written(tmp_path):
    row = row_of(b"good")
    with pytest.raises(AssetError, match=rf"dist/a.js of a 1.0.0: expected 4 bytes with the SHA-256 {row.sha256}, got 3 with "):
        list(compare([row], tmp_path, lambda package, source: b"bad"))
    assert list(Path(tmp_path).iterdir()) == []
