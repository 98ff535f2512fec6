"""Which directory names are versions, and which names a model may have."""

import pytest

from model_export.errors import ExportError
from model_export.versions import check_model_name, everything, find, in_service, model_names, newest, parse_number


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("1", 1),
        ("00000123", 123),
        ("+7", 7),
        ("-7", -7),
        (" 7 ", 7),
        ("1700000000", 1700000000),
        (str(2**63 - 1), 2**63 - 1),
        (str(-(2**63)), -(2**63)),
    ],
)
def test_a_name_that_reads_as_an_int64_is_a_version(name, number):
    assert parse_number(name) == number


@pytest.mark.parametrize(
    "name", ["", "-", "1a", "v1", "1.0", "1_0", "0x1", ".tmp-1", ".withdrawn-1", "1 2", "\u0661", str(2**63), str(-(2**63) - 1)]
)
def test_any_other_name_is_ignored(name):
    assert parse_number(name) is None


@pytest.mark.parametrize("name", ["digits", "half_plus_two", "resnet-50.v2", "7"])
def test_a_name_that_fits_a_url_can_name_a_model(name):
    assert check_model_name(name) == name


@pytest.mark.parametrize("name", ["", ".hidden", "..", "a/b", "a:predict", "a b", "é", "-x", "a\n", "x" * 201])
def test_a_name_that_does_not_fit_a_url_is_refused(name):
    with pytest.raises(ExportError, match="cannot name a model"):
        check_model_name(name)


def test_versions_are_ordered_by_number_and_withdrawn_ones_are_apart(tmp_path):
    for name in ("2", "10", "00000009", ".withdrawn-11", ".tmp-12", "notes"):
        (tmp_path / "m" / name).mkdir(parents=True)

    assert [version.number for version in in_service(tmp_path / "m")] == [2, 9, 10]
    assert [version.number for version in everything(tmp_path / "m")] == [11, 10, 9, 2]
    assert newest(tmp_path / "m").number == 10


def test_a_version_is_found_by_its_number_and_an_unknown_one_tells_those_there_are(tmp_path):
    (tmp_path / "m" / "00000009").mkdir(parents=True)

    assert find(tmp_path / "m", "9").path.name == "00000009"
    with pytest.raises(ExportError, match="no version 8; there are: 9"):
        find(tmp_path / "m", "8")


def test_only_folders_with_versions_are_models(tmp_path):
    for folder in ("a/1", "b/.withdrawn-1", "c/notes", ".tmp-1/1"):
        (tmp_path / folder).mkdir(parents=True)

    assert model_names(tmp_path) == ["a", "b"]
    assert model_names(tmp_path / "missing") == []
