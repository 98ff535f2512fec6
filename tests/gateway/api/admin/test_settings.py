"""GET /admin/settings: every setting, and nothing that is secret."""

import re
import tomllib
from pathlib import Path

import pytest

from gateway.api.admin.settings import PACKAGES, installed
from gateway.settings import setting_rows, settings_from_environment
from gateway.shown_settings import shown_settings, without_secrets
from tests.gateway.access.made_keys import make_key, write

PATH = "/admin/settings"
ROOT = Path(__file__).resolve().parents[4]


def shown(**environ: str) -> dict[str, str]:
    return {row.name: row.value for row in shown_settings(settings_from_environment(environ))}


def test_every_setting_is_told_with_its_value_default_and_meaning(client, config_file):
    answer = client.get(PATH)
    assert answer.status_code == 200
    rows = {row["name"]: row for row in answer.json["settings"]}
    documented = {row.variable: row for row in setting_rows()}
    assert list(rows)[: len(documented)] == list(documented)
    assert set(rows) - set(documented) >= {"DATABASE_URL", "OTEL_EXPORTER_OTLP_ENDPOINT"}
    for name, row in documented.items():
        assert (rows[name]["default"], rows[name]["meaning"]) == (row.default, row.meaning)
        assert rows[name]["is_default"] is (rows[name]["value"] == row.default)
    assert rows["GATEWAY_PORT"]["value"] == "8080"
    assert rows["GATEWAY_CATALOG_POLL_MS"]["value"] == "50"
    assert rows["GATEWAY_MODEL_CONFIG_FILE"]["value"] == str(config_file)
    changed = {name for name, row in rows.items() if not row["is_default"]}
    assert changed == {"GATEWAY_SERVING_TARGET", "GATEWAY_CATALOG_POLL_MS", "GATEWAY_MODEL_CONFIG_FILE"}


def test_it_says_what_the_gateway_runs_on(client):
    document = client.get(PATH).json
    assert re.fullmatch(r"\d+\.\d+\.\d+", document["version"])
    assert re.match(r"3\.\d+\.\d+", document["python"])
    assert document["packages"]["Flask"][0].isdigit()
    assert {"numpy", "grpcio"} <= set(document["packages"])


def test_the_packages_are_those_that_the_gateway_needs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert list(PACKAGES) == [re.match(r"[\w-]+", requirement)[0] for requirement in project["dependencies"]]
    assert set(installed(PACKAGES)) == set(PACKAGES)
    assert installed(["numpy", "no-such-package"]).keys() == {"numpy"}


def test_where_keys_are_asked_for_it_needs_the_scope_admin(make_client, config_file, tmp_path):
    made = {scope: make_key(scope, scopes=(scope,)) for scope in ("predict", "metadata", "metrics", "admin")}
    write(tmp_path / "keys.jsonl", *(key for _, key in made.values()))
    client = make_client(model_config_file=config_file, keys_file=tmp_path / "keys.jsonl")
    statuses = {scope: client.get(PATH, headers={"X-API-Key": text}).status_code for scope, (text, _) in made.items()}
    assert statuses == {"predict": 403, "metadata": 403, "metrics": 403, "admin": 200}
    assert client.get(PATH).status_code == 401


def test_no_password_token_or_header_is_told():
    word = "s3cr3t"
    environ = {
        "GATEWAY_REDIS_URL": f"redis://user:{word}@redis:6379/0",
        "GATEWAY_PREDICTION_LOG": f"postgresql://gateway:{word}@db/predictions",
        "DATABASE_URL": f"postgresql://db/state?user=gateway&password={word}",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"https://{word}@collector:4318/v1?token={word}",
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer {word}",
    }
    found = shown(**environ)
    assert word not in str(found)
    assert {name: found[name] for name in environ} == {
        "GATEWAY_REDIS_URL": "redis://***@redis:6379/0",
        "GATEWAY_PREDICTION_LOG": "postgresql://***@db/predictions",
        "DATABASE_URL": "postgresql://db/state?***",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://***@collector:4318/v1?***",
        "OTEL_EXPORTER_OTLP_HEADERS": "***",
    }
    assert shown()["OTEL_EXPORTER_OTLP_HEADERS"] == ""


def test_a_prediction_log_that_database_url_names_is_told_without_its_password():
    found = shown(DATABASE_URL="postgresql://gateway:s3cr3t@db/predictions")
    assert found["GATEWAY_PREDICTION_LOG"] == found["DATABASE_URL"] == "postgresql://***@db/predictions"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("redis://redis:6379/0", "redis://redis:6379/0"),
        ("redis://:a@b@redis", "redis://***@redis"),
        ("redis://:a?b@redis", "redis://***"),
        ("redis://:a/b@redis/0", "redis://***@redis/0"),
        ("redis://redis?password=a@b", "redis://***"),
        ("unix:///run/redis.sock?db=1&password=x", "unix:///run/redis.sock?***"),
        ("sqlite:////log/predictions.db", "sqlite:////log/predictions.db"),
        ("file:///log", "file:///log"),
        ("off", "off"),
        ("", ""),
    ],
)
def test_of_an_address_only_what_nobody_could_have_for_a_secret_is_left(address, expected):
    assert without_secrets(address) == expected


def test_a_key_that_was_taken_for_another_setting_is_hidden():
    text, _ = make_key()
    found = shown(GATEWAY_STATE_DIR=f"/state/{text}")
    assert text not in str(found)
    assert found["GATEWAY_STATE_DIR"].startswith("/state/sgk_")
