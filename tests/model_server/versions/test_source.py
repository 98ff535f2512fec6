"""The file system source: which names are versions, which of them are wanted, and what a bad base path changes."""

from pathlib import Path

import pytest
import structlog

from model_server.config import ModelSettings, VersionPolicy
from model_server.versions.source import FileSystemSource, aspired, fingerprint, versions_under
from tests.waiting import wait_for

ON_DISK = {1: "a/1", 2: "a/2", 5: "a/5"}


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("1", 1),
        ("00000123", 123),
        ("-3", -3),
        ("+4", 4),
        (" 7 ", 7),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", None),
        ("1.0", None),
        ("v1", None),
        ("1-tmp", None),
        ("tmp", None),
        ("\u0661", None),
        ("1_0", None),
    ],
)
def test_a_child_is_a_version_if_its_whole_name_is_a_number(tmp_path: Path, name: str, number: int | None):
    (tmp_path / name).mkdir()
    assert list(versions_under(str(tmp_path))) == ([] if number is None else [number])


def test_two_names_with_one_number_count_once(tmp_path: Path):
    (tmp_path / "1").mkdir()
    (tmp_path / "01").mkdir()
    assert list(versions_under(str(tmp_path))) == [1]


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [
        (VersionPolicy(), [5]),
        (VersionPolicy(latest=2), [2, 5]),
        (VersionPolicy(latest=9), [1, 2, 5]),
        (VersionPolicy(all=True), [1, 2, 5]),
        (VersionPolicy(specific=(1, 5)), [1, 5]),
        (VersionPolicy(specific=(1, 7)), [1]),
        (VersionPolicy(specific=()), []),
    ],
)
def test_policies(policy: VersionPolicy, wanted: list[int]):
    assert sorted(aspired(ON_DISK, policy)) == wanted


class Wishes:
    """Remembers what was last aspired for each model."""

    def __init__(self) -> None:
        self.now: dict[str, list[int]] = {}
        self.calls = 0

    def __call__(self, model: str, versions) -> None:
        self.now[model] = sorted(versions)
        self.calls += 1


def model(name: str, path: Path, policy: VersionPolicy | None = None) -> ModelSettings:
    return ModelSettings(name, str(path), policy=policy or VersionPolicy())


def test_polling_sees_versions_come_and_go(tmp_path: Path):
    wishes = Wishes()
    source = FileSystemSource(0.01, wishes)
    (tmp_path / "1").mkdir()
    assert source.watch({"m": model("m", tmp_path)}) == {"m"}
    assert wishes.now == {"m": [1]}
    (tmp_path / "2").mkdir()
    wait_for(lambda: wishes.now == {"m": [2]})
    (tmp_path / "2").rmdir()
    wait_for(lambda: wishes.now == {"m": [1]})
    source.stop()


def test_a_missing_or_emptied_base_path_changes_no_wish_and_no_other_model(tmp_path: Path):
    wishes = Wishes()
    source = FileSystemSource(0.01, wishes)
    for name in ("gone/1", "emptied/1", "fine/1"):
        (tmp_path / name).mkdir(parents=True)
    models = {name: model(name, tmp_path / name) for name in ("gone", "emptied", "fine", "never")}
    assert source.watch(models) == {"gone", "emptied", "fine"}
    (tmp_path / "gone" / "1").rmdir()
    (tmp_path / "gone").rmdir()
    (tmp_path / "emptied" / "1").rmdir()
    (tmp_path / "fine" / "2").mkdir()
    wait_for(lambda: wishes.now["fine"] == [2])
    assert wishes.now == {"gone": [1], "emptied": [1], "fine": [2]}
    source.stop()


def test_each_problem_is_logged_once_and_so_is_its_end(tmp_path: Path):
    base = tmp_path / "late"
    source = FileSystemSource(0, Wishes())
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            source.watch({"m": model("m", base)})
        base.mkdir()
        for _ in range(3):
            source.watch({"m": model("m", base)})
        (base / "1").mkdir()
        for _ in range(3):
            source.watch({"m": model("m", base)})
    assert [(entry["event"], entry["model"], entry["base_path"]) for entry in logs] == [
        ("base_path.missing", "m", str(base)),
        ("base_path.empty", "m", str(base)),
        ("base_path.ready", "m", str(base)),
    ]


def test_a_specific_version_that_is_not_there_is_reported(tmp_path: Path):
    (tmp_path / "1").mkdir()
    source = FileSystemSource(0, Wishes())
    with structlog.testing.capture_logs() as logs:
        assert source.watch({"m": model("m", tmp_path, VersionPolicy(specific=(1, 4)))}) == {"m"}
    assert logs[0]["event"] == "version.missing"
    assert "[4]" in logs[0]["problem"]


def test_a_wait_of_zero_looks_once_and_a_negative_one_never(tmp_path: Path):
    (tmp_path / "1").mkdir()
    wishes = Wishes()
    assert FileSystemSource(-1, wishes).watch({"m": model("m", tmp_path)}) == set()
    assert wishes.calls == 0
    once = FileSystemSource(0, wishes)
    assert once.watch({"m": model("m", tmp_path)}) == {"m"}
    once.stop()
    assert wishes.calls == 1


def test_a_fingerprint_changes_with_the_files(tmp_path: Path):
    """A directory that is not there has one too."""
    seen = [fingerprint(str(tmp_path / "1"))]
    (tmp_path / "1" / "variables").mkdir(parents=True)
    (tmp_path / "1" / "saved_model.pb").write_text("a")
    seen.append(fingerprint(str(tmp_path / "1")))
    assert fingerprint(str(tmp_path / "1")) == seen[-1]
    (tmp_path / "1" / "variables" / "data").write_text("a")
    seen.append(fingerprint(str(tmp_path / "1")))
    (tmp_path / "1" / "variables" / "data").write_text("ab")
    seen.append(fingerprint(str(tmp_path / "1")))
    (tmp_path / "1" / "saved_model.pb").unlink()
    seen.append(fingerprint(str(tmp_path / "1")))
    assert all(one != other for at, one in enumerate(seen) for other in seen[:at])
