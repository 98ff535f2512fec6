"""What ``make serve`` keeps of the run before: the version policies that a rollout has written."""

import stat

import pytest
from google.protobuf import text_format

from deploy.errors import ServeError
from deploy.kept_policies import write_list
from deploy.model_list import model_list
from gateway.backend.stubs import ModelServerConfig


class Runs:
    """Starts of the stack over one folder with the models ``a`` and ``b``, each in the versions 1 and 2."""

    def __init__(self, folder) -> None:
        self.models_dir, self.listed, self.served = folder / "models", folder / "listed.config", folder / "models.config"
        for name in ("a", "b"):
            for number in ("1", "2"):
                (self.models_dir / name / number).mkdir(parents=True)
        self.operator_writes("a", "")

    def operator_writes(self, name: str, policy: str) -> None:
        self.listed.write_text(f'model_config_list {{ config {{ name: "{name}" base_path: "/models/{name}" {policy} }} }}')

    def gateway_writes(self, name: str, policy: str) -> None:
        config = self.config()
        for model in config.model_config_list.config:
            if model.name == name:
                model.ClearField("model_version_policy")
                text_format.Parse(policy, model)
        self.served.write_text(text_format.MessageToString(config))

    def start(self) -> tuple[str, ...]:
        return write_list(model_list(self.listed, self.models_dir).config, self.served)

    def config(self) -> ModelServerConfig:
        return text_format.Parse(self.served.read_text(), ModelServerConfig())

    def policies(self) -> dict[str, str]:
        return {
            model.name: text_format.MessageToString(model.model_version_policy, as_one_line=True).strip()
            for model in self.config().model_config_list.config
        }


@pytest.fixture
def runs(tmp_path) -> Runs:
    return Runs(tmp_path)


def specific(*versions: int) -> str:
    return f"model_version_policy {{ specific {{ {' '.join(f'versions: {version}' for version in versions)} }} }}"


def test_the_first_run_serves_what_is_listed(runs):
    runs.operator_writes("a", specific(1))

    assert runs.start() == ()
    assert runs.policies() == {"a": "specific { versions: 1 }", "b": ""}
    assert not list(runs.served.parent.glob(".models.config*")), "nothing temporary is left"


def test_what_a_rollout_has_written_is_kept_over_any_number_of_runs(runs):
    runs.start()
    runs.gateway_writes("a", specific(1, 2))

    for _ in range(3):
        assert runs.start() == ("a: the version policy specific { versions: 1 versions: 2 } of the run before is kept",)
        assert runs.policies() == {"a": "specific { versions: 1 versions: 2 }", "b": ""}


def test_a_model_that_is_on_no_list_keeps_its_policy_too(runs):
    runs.start()
    runs.gateway_writes("b", specific(1))
    runs.start()

    assert runs.policies() == {"a": "", "b": "specific { versions: 1 }"}


def test_a_policy_that_was_taken_out_stays_out(runs):
    runs.operator_writes("a", specific(1))
    runs.start()
    runs.gateway_writes("a", "")

    assert runs.start() == ("a: the version policy latest of the run before is kept",)
    assert runs.policies() == {"a": "", "b": ""}


def test_what_the_operator_has_changed_since_wins_and_stays(runs):
    runs.start()
    runs.gateway_writes("a", specific(1))
    runs.operator_writes("a", "model_version_policy { all { } }")

    told = "a: the version policy is that of serving_config/models.config, not specific { versions: 1 } of the run before"
    assert runs.start() == (told,)
    assert runs.policies()["a"] == "all { }"
    assert runs.start() == ()
    assert runs.policies()["a"] == "all { }"


def test_a_start_that_ended_between_its_two_files_takes_the_operators_change_once_more(runs):
    runs.start()
    runs.gateway_writes("a", specific(1))
    runs.operator_writes("a", "model_version_policy { all { } }")
    as_made = runs.served.with_name("models.config.as-made")
    before = as_made.read_text()
    runs.start()
    as_made.write_text(before)

    assert runs.start() == ()
    assert runs.policies()["a"] == "all { }"


def test_a_pin_to_versions_that_are_gone_would_leave_nothing_to_serve(runs):
    runs.start()
    runs.gateway_writes("a", specific(7, 8))

    assert runs.start() == (
        "a: the version policy specific { versions: 7 versions: 8 } of the run before is dropped, no such version is there",
    )
    assert runs.policies() == {"a": "", "b": ""}


def test_a_pin_of_which_one_version_is_left_is_kept(runs):
    runs.start()
    runs.gateway_writes("a", specific(1, 8))
    runs.start()

    assert runs.policies()["a"] == "specific { versions: 1 versions: 8 }"


def test_models_of_another_folder_are_other_models(runs, tmp_path):
    runs.start()
    runs.gateway_writes("a", specific(1))
    runs.models_dir = runs.models_dir.rename(tmp_path / "elsewhere")

    assert runs.start() == ()
    assert runs.policies() == {"a": "", "b": ""}


def test_a_list_that_cannot_be_read_is_not_passed_over_in_silence(runs):
    """With the default policy the newest version would answer everyone, and it may be one that has failed."""
    runs.start()
    runs.served.write_text("model_config_list {")

    with pytest.raises(ServeError, match=r"models.config: .*mend it, or remove it to start without"):
        runs.start()
    assert runs.served.read_text() == "model_config_list {"


def test_only_this_user_may_read_the_list_that_only_this_user_writes(runs):
    runs.start()

    assert stat.S_IMODE(runs.served.stat().st_mode) & 0o022 == 0
