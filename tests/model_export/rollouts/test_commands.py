"""`publish --rollout`, and the commands that a rollout holds, from the outside."""

import shutil
from pathlib import Path

import pytest

from model_export.publishing.publication import publish
from model_export.versions import in_service, withdrawn
from tests.model_export.rollouts.fake_gateway import KEY, PINNED, plan

SPECIFIC = "model_version_policy { specific { versions: 1 versions: 2 } }"
HELD = [["rollback", "m"], ["restore", "m"], ["prune", "m", "--keep", "1"]]


@pytest.fixture
def model_dir(tmp_path, built) -> Path:
    """half_plus_two under the name ``m``, in two versions, in the folder that the commands use by default."""
    for _ in range(2):
        publish(
            tmp_path / "models" / "m",
            lambda folder: shutil.copytree(built / "half_plus_two" / "1", folder, dirs_exist_ok=True),
        )
    return tmp_path / "models" / "m"


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv("GATEWAY_KEY", KEY)


def numbers(versions) -> list[int]:
    return [version.number for version in versions]


def pin_both(folder: Path) -> None:
    path = folder / "serving_config" / "models.config"
    path.parent.mkdir()
    path.write_text(f'model_config_list {{ config {{ name: "m" base_path: "/models/m" {SPECIFIC} }} }}')


class TestPublish:
    @pytest.fixture
    def source(self, built) -> str:
        return str(built / "half_plus_two" / "1")

    def test_pins_before_the_version_appears_and_then_starts_a_rollout_of_it(self, invoke, gateway, model_dir, source, key):
        seen: dict[str, list[int]] = {}

        def pin():
            seen["pin"] = numbers(in_service(model_dir))
            return 200, PINNED | {"versions": [2]}

        def start():
            seen["start"] = numbers(in_service(model_dir))
            return 201, plan("running", canary=3, stable=2)

        gateway.answers["POST", "/admin/rollouts/m/pin"] = pin
        gateway.answers["POST", "/admin/rollouts/m"] = start
        options = ("--gateway", gateway.url, "--canary-steps", "10%:1m", "--shadow", "20%", "--sticky", "header:X-User")
        made = invoke("publish", source, "--name", "m", "--rollout", *options, "--keep-old", "5m", "--low-traffic")

        assert made.exit_code == 0, made.exception
        assert seen == {"pin": [1, 2], "start": [1, 2, 3]}
        assert gateway.calls() == ["GET /admin/rollouts", "POST /admin/rollouts/m/pin", "POST /admin/rollouts/m"]
        assert gateway.asked[-1][2] == {
            "canary": 3,
            "steps": "10%:1m",
            "shadow": "20%",
            "sticky": "header:X-User",
            "keep_old": "5m",
            "low_traffic": True,
        }
        assert gateway.keys == {f"Bearer {KEY}"}
        lines = made.stdout.splitlines()
        assert lines[0] == "published model=m version=3 path=models/m/3"
        assert lines[-1] == "rollout model=m id=m-2-f4a1 state=running stable=2 canary=3"
        assert made.stderr.splitlines()[-5:] == [
            "m: pinning the versions that serve",
            "m: pinned version 2",
            "m: starting the rollout of version 3",
            "m: m-2-f4a1 is running",
            "watch it on the gateway's machine: `python -m gateway rollout status m --watch`",
        ]

    def test_the_gateways_address_may_come_from_the_environment(self, invoke, gateway, model_dir, source, monkeypatch):
        monkeypatch.setenv("GATEWAY_URL", gateway.url)
        gateway.refuses("GET", "/admin/rollouts", 403, "keys are off")
        refused = invoke("publish", source, "--name", "m", "--rollout")

        assert str(refused.exception) == f"{gateway.url} answers 403: keys are off"
        assert numbers(in_service(model_dir)) == [1, 2]

    def test_a_refused_pin_publishes_nothing(self, invoke, gateway, model_dir, source, key):
        gateway.refuses("POST", "/admin/rollouts/m/pin", 409, "models.config cannot be written")
        refused = invoke("publish", source, "--name", "m", "--rollout", "--gateway", gateway.url)

        assert str(refused.exception) == f"{gateway.url} answers 409: models.config cannot be written"
        assert "warning" not in refused.stderr
        assert sorted(path.name for path in model_dir.iterdir()) == [".last-version", "1", "2"]

    def test_a_refused_start_keeps_the_version_and_says_how_to_go_on(self, invoke, gateway, model_dir, source, key):
        gateway.refuses("POST", "/admin/rollouts/m", 400, "/steps: expected ...")
        refused = invoke("publish", source, "--name", "m", "--rollout", "--gateway", gateway.url)

        assert str(refused.exception) == f"{gateway.url} answers 400: /steps: expected ..."
        assert "warning: version 3 of m is published, and no server takes it" in refused.stderr
        assert "`python -m gateway rollout start m --canary 3`" in refused.stderr
        assert numbers(in_service(model_dir)) == [1, 2, 3]

    def test_a_broken_model_is_found_before_anything_is_pinned(self, invoke, gateway, model_dir, tmp_path, key):
        (tmp_path / "broken").mkdir()
        (tmp_path / "broken" / "saved_model.pb").write_text("x")
        refused = invoke("publish", "broken", "--name", "m", "--rollout", "--gateway", gateway.url)

        assert refused.exit_code == 1
        assert gateway.calls() == ["GET /admin/rollouts"]

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            (["--rollout"], "--rollout needs --gateway URL (or GATEWAY_URL)"),
            (["--canary-steps", "1%"], "--canary-steps is for --rollout"),
            (["--low-traffic"], "--low-traffic is for --rollout"),
        ],
        ids=["no gateway", "steps only", "low traffic only"],
    )
    def test_options_that_do_not_go_together_are_wrong_usage(self, invoke, gateway, options, told):
        refused = invoke("publish", "x.keras", "--name", "m", *options)

        assert refused.exit_code == 2
        assert told in refused.stderr

    def test_a_pin_on_versions_that_are_gone_is_told_with_what_to_do(self, invoke, gateway, tmp_path, source):
        """As after `docker compose down --volumes`, which deletes the models and not the file that names them."""
        pin_both(tmp_path)
        (tmp_path / "models" / "m" / "7").mkdir(parents=True)
        made = invoke("publish", source, "--name", "m")
        gone = "pins versions 1 and 2 of m, and no such version is there: servers have nothing to serve until you take"
        assert f"{gone} `model_version_policy` out of its entry there" in made.stderr

    def test_a_model_that_is_built_and_pinned_is_told_too(self, invoke, gateway, built, tmp_path):
        shutil.copytree(built / "half_plus_two", tmp_path / "models" / "half_plus_two")
        pin_both(tmp_path)
        path = tmp_path / "serving_config" / "models.config"
        path.write_text(path.read_text().replace('"m"', '"half_plus_two"').replace("versions: 1 versions: 2", "versions: 1"))
        kept = invoke("build", "--if-missing", "half_plus_two")
        assert "pins" not in kept.stderr
        made = invoke("build", "half_plus_two")
        assert "pins version 1 of half_plus_two: servers do not take version 2; " in made.stderr
        path.write_text(path.read_text().replace("versions: 1", "versions: 5"))
        kept = invoke("build", "--if-missing", "half_plus_two")
        assert "pins version 5 of half_plus_two, and no such version is there" in kept.stderr

    def test_without_rollout_a_pinned_model_is_told_to_take_no_new_version(self, invoke, gateway, model_dir, source, tmp_path):
        pin_both(tmp_path)
        made = invoke("publish", source, "--name", "m")

        assert made.exit_code == 0
        assert "models.config pins versions 1 and 2 of m: servers do not take version 3; " in made.stderr
        assert "`python -m gateway rollout start m --canary 3` lets it answer a part" in made.stderr
        assert gateway.calls() == []


class TestDuringARollout:
    @pytest.mark.parametrize(
        "arguments",
        [["rollback", "m"], ["rollback", "m", "--force"], ["restore", "m"], ["prune", "m", "--keep", "1"]],
        ids=" ".join,
    )
    def test_rollback_restore_and_prune_are_refused_and_name_abort(self, invoke, gateway, model_dir, key, arguments):
        gateway.runs(plan("running"))
        refused = invoke(*arguments, "--gateway", gateway.url)

        assert "end it first: `python -m gateway rollout abort m`" in str(refused.exception)
        assert numbers(in_service(model_dir)) == [1, 2]

    @pytest.mark.parametrize("arguments", HELD, ids=" ".join)
    def test_without_a_gateway_the_model_config_file_tells(self, invoke, gateway, model_dir, tmp_path, arguments):
        """Nor is a gateway asked without a key: it would refuse to say."""
        pin_both(tmp_path)
        refused = invoke(*arguments, "--gateway", gateway.url)

        assert "serving_config/models.config pins versions 1 and 2 of m, as a rollout does" in str(refused.exception)
        assert gateway.calls() == []
        assert numbers(in_service(model_dir)) == [1, 2]

    def test_without_a_gateway_no_newer_version_and_no_pinned_one_is_withdrawn(
        self, invoke, model_dir, built, tmp_path, monkeypatch
    ):
        """A rollout of version 2 may run: without it `restore` would be refused, too."""
        monkeypatch.delenv("GATEWAY_URL", raising=False)
        pin_both(tmp_path)
        shutil.copytree(built / "half_plus_two" / "1", model_dir / "3")
        told = "end it first: `python -m gateway rollout abort m`"

        assert told in str(invoke("rollback", "m").exception)
        assert invoke("rollback", "m", "--force").exit_code == 0  # 3, which no rollout has
        assert told in str(invoke("rollback", "m", "--force").exception)
        assert numbers(in_service(model_dir)) == [1, 2]

    def test_other_models_are_not_held(self, invoke, gateway, model_dir, key):
        gateway.runs(plan("running", model="other"))

        assert invoke("rollback", "m", "--gateway", gateway.url).exit_code == 0
        assert invoke("restore", "m", "--gateway", gateway.url).exit_code == 0
        assert invoke("prune", "m", "--keep", "1", "--gateway", gateway.url).stdout == (
            "deleted model=m version=1 path=models/m/1\n"
        )

    def test_a_gateway_that_is_away_holds_nothing_up(self, invoke, gateway, model_dir, key):
        gateway.refuses("GET", "/admin/rollouts", 503, "the database is away")
        taken = invoke("rollback", "m", "--gateway", gateway.url)

        assert taken.exit_code == 0
        assert "503: the database is away; so only the model config file tells whether a rollout runs" in taken.stderr

    def test_a_model_config_file_that_cannot_be_read_holds_nothing_up(self, invoke, gateway, model_dir, tmp_path):
        (tmp_path / "damaged.config").write_text("{")
        taken = invoke("rollback", "m", "--model-config-file", "damaged.config")

        assert taken.exit_code == 0
        assert "warning: damaged.config cannot be read" in taken.stderr

    def test_a_version_that_comes_back_and_is_not_pinned_is_told_not_to_serve(self, invoke, gateway, model_dir, tmp_path, key):
        gateway.runs(plan("rolled_back"))
        invoke("rollback", "m", "--gateway", gateway.url)
        path = tmp_path / "models.config"
        path.write_text('model_config_list { config { name: "m" model_version_policy { specific { versions: 1 } } } }')
        back = invoke("restore", "m", "--gateway", gateway.url, "--model-config-file", str(path))

        assert back.exit_code == 0
        assert f"warning: {path} pins version 1 of m: servers do not take version 2; " in back.stderr
        assert "`python -m gateway rollout start m --canary 2` lets it answer a part of the requests" in back.stderr
        assert withdrawn(model_dir) == []
