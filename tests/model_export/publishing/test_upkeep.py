"""What happens to published versions: prune, rollback, restore."""

from pathlib import Path

import pytest

from model_export.errors import ExportError
from model_export.publishing import upkeep
from model_export.publishing.publication import publish
from model_export.versions import everything, in_service, withdrawn


@pytest.fixture
def model_dir(tmp_path) -> Path:
    """A model with the versions 1 to 4."""
    for number in range(1, 5):
        publish(tmp_path / "m", lambda folder, number=number: (folder / "saved_model.pb").write_text(str(number)))
    return tmp_path / "m"


def numbers(versions) -> list[int]:
    return [version.number for version in versions]


def content(model_dir: Path, number: int) -> str:
    return (model_dir / str(number) / "saved_model.pb").read_text()


def test_prune_keeps_the_newest(model_dir):
    assert numbers(upkeep.prune(model_dir, keep=2, include_withdrawn=False)) == [1, 2]
    assert numbers(in_service(model_dir)) == [3, 4]
    assert sorted(path.name for path in model_dir.iterdir()) == [".last-version", "3", "4"]


def test_prune_has_nothing_to_do_when_fewer_are_there(model_dir):
    assert list(upkeep.prune(model_dir, keep=9, include_withdrawn=False)) == []
    assert numbers(in_service(model_dir)) == [1, 2, 3, 4]


def test_prune_spares_withdrawn_versions_unless_asked(model_dir):
    upkeep.rollback(model_dir, force=False)
    list(upkeep.prune(model_dir, keep=1, include_withdrawn=False))
    assert numbers(everything(model_dir)) == [4, 3]

    assert numbers(upkeep.prune(model_dir, keep=1, include_withdrawn=True)) == [4]
    assert numbers(everything(model_dir)) == [3]


def test_what_is_prunable_is_what_prune_deletes(model_dir):
    told = upkeep.prunable(model_dir, keep=3, include_withdrawn=True)

    assert numbers(in_service(model_dir)) == [1, 2, 3, 4]
    assert list(upkeep.prune(model_dir, keep=3, include_withdrawn=True)) == told


def test_rollback_hides_the_newest_and_names_the_one_before(model_dir):
    taken, now_newest = upkeep.rollback(model_dir, force=False)

    assert (taken.number, now_newest.number) == (4, 3)
    assert numbers(in_service(model_dir)) == [1, 2, 3]
    assert numbers(withdrawn(model_dir)) == [4]


def test_a_withdrawn_number_is_not_given_out_again(model_dir):
    upkeep.rollback(model_dir, force=False)

    assert publish(model_dir, lambda folder: None)[0].number == 5


def test_rollback_keeps_the_only_version_unless_forced(model_dir):
    list(upkeep.prune(model_dir, keep=1, include_withdrawn=False))
    with pytest.raises(ExportError, match="version 4 is the only one"):
        upkeep.rollback(model_dir, force=False)
    assert numbers(in_service(model_dir)) == [4]

    assert upkeep.rollback(model_dir, force=True)[1] is None
    assert in_service(model_dir) == []


def test_restore_puts_the_newest_withdrawn_version_back_unchanged(model_dir):
    upkeep.rollback(model_dir, force=False)
    upkeep.rollback(model_dir, force=False)

    assert upkeep.restore(model_dir, None).number == 4
    assert upkeep.restore(model_dir, None).number == 3
    assert [content(model_dir, number) for number in (1, 2, 3, 4)] == ["1", "2", "3", "4"]


def test_restore_takes_the_version_that_is_asked_for(model_dir):
    upkeep.rollback(model_dir, force=False)
    upkeep.rollback(model_dir, force=False)

    assert upkeep.restore(model_dir, 3).number == 3
    assert numbers(withdrawn(model_dir)) == [4]


def test_restore_gives_a_padded_name_back(tmp_path):
    (tmp_path / "m" / "00000123").mkdir(parents=True)
    upkeep.rollback(tmp_path / "m", force=True)

    assert upkeep.restore(tmp_path / "m", 123).path.name == "00000123"


def test_restore_never_replaces_a_version(model_dir):
    upkeep.rollback(model_dir, force=False)
    (model_dir / "4").mkdir()

    with pytest.raises(ExportError, match="already there"):
        upkeep.restore(model_dir, None)
    assert numbers(withdrawn(model_dir)) == [4]
    assert list((model_dir / "4").iterdir()) == []


def test_restore_says_what_is_withdrawn_when_the_version_is_not(model_dir):
    with pytest.raises(ExportError, match="withdrawn: none"):
        upkeep.restore(model_dir, None)
    upkeep.rollback(model_dir, force=False)
    with pytest.raises(ExportError, match="withdrawn: 4"):
        upkeep.restore(model_dir, 3)


def test_an_unknown_model_is_refused_and_no_folder_appears(tmp_path):
    for act in (
        lambda: upkeep.rollback(tmp_path / "nope", force=True),
        lambda: upkeep.restore(tmp_path / "nope", None),
        lambda: list(upkeep.prune(tmp_path / "nope", keep=1, include_withdrawn=False)),
        lambda: upkeep.prunable(tmp_path / "nope", keep=1, include_withdrawn=False),
    ):
        with pytest.raises(ExportError, match="no model nope"):
            act()
    assert list(tmp_path.iterdir()) == []
