"""Which versions the model config file names."""

import pytest

from model_export.errors import ExportError
from model_export.rollouts.pins import pin_of


def entry(name: str, policy: str = "") -> str:
    return f'config {{ name: "{name}" base_path: "/models/{name}" {policy} }}\n'


def config(path, *entries: str):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("model_config_list {\n" + "".join(entries) + "}\n")
    return path


SPECIFIC = "model_version_policy { specific { versions: 3 versions: 1 } }"


@pytest.fixture
def at_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MODELS_DIR", raising=False)
    return tmp_path


def test_the_versions_of_an_entry_are_read(at_home):
    path = config(at_home / "models.config", entry("other"), entry("m", SPECIFIC))
    found = pin_of("m", at_home / "models", path)

    assert (found.versions, found.config_file) == ((1, 3), path)
    assert found.text == f"{path} pins versions 1 and 3 of m"


@pytest.mark.parametrize(
    "policy", ["", "model_version_policy { latest { num_versions: 2 } }", "model_version_policy { all { } }"]
)
def test_other_policies_pin_nothing(at_home, policy):
    assert pin_of("m", at_home / "models", config(at_home / "models.config", entry("m", policy), entry("n", SPECIFIC))) is None


def test_a_model_that_is_not_listed_is_not_pinned(at_home):
    assert pin_of("m", at_home / "models", config(at_home / "models.config")) is None
    assert pin_of("m", at_home / "models", None) is None


def test_what_make_serve_serves_the_folder_by_counts_too(at_home):
    unpinned = config(at_home / "models.config", entry("m"))
    served = config(at_home / ".run" / "models.config", entry("m", SPECIFIC))

    assert pin_of("m", at_home / "models", unpinned).config_file.resolve() == served
    assert pin_of("m", at_home / "models", None).config_file.resolve() == served
    assert pin_of("m", at_home / "elsewhere", None) is None


def test_another_folder_has_the_list_of_its_runs_inside(at_home):
    served = config(at_home / "elsewhere" / ".run" / "models.config", entry("m", SPECIFIC))

    assert pin_of("m", at_home / "elsewhere", None).config_file == served


def test_a_list_that_cannot_be_read_is_an_error(at_home):
    (at_home / "models.config").write_text("model_config_list {")

    with pytest.raises(ExportError, match="cannot be read as a list of models"):
        pin_of("m", at_home / "models", at_home / "models.config")
