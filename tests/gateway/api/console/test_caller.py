"""/admin/console/caller: what the console is told of the key that it has."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.access.key import SCOPES
from tests.gateway.access.made_keys import make_key, write

PATH = "/admin/console/caller"
FIELDS = {"keys", "name", "scopes", "models", "can_change", "why_not"}


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def test_without_keys_everybody_reads_and_predicts_and_is_told_how_to_change_something(client):
    answer = client.get(PATH)
    assert answer.status_code == 200
    assert set(answer.json) == FIELDS
    assert answer.json | {"why_not": ""} == {
        "keys": "off",
        "name": None,
        "scopes": ["predict", "metadata"],
        "models": ["*"],
        "can_change": False,
        "why_not": "",
    }
    assert "GATEWAY_KEYS_FILE" in answer.json["why_not"]
    assert "--scope admin" in answer.json["why_not"]


def test_limits_for_addresses_are_no_keys(make_client, config_file):
    answer = make_client(model_config_file=config_file, address_limits="600/min").get(PATH)
    assert (answer.json["keys"], answer.json["scopes"], answer.json["models"]) == ("off", ["predict", "metadata"], ["*"])


@pytest.mark.parametrize("scopes", [*((scope,) for scope in SCOPES), SCOPES, ("predict", "metadata")])
def test_any_valid_key_is_told_what_it_may_do(make_client, config_file, tmp_path, scopes):
    text, key = make_key("ann@example", scopes=scopes, models=("m", "digits-*"))
    write(tmp_path / "keys.jsonl", key)
    client = make_client(model_config_file=config_file, keys_file=tmp_path / "keys.jsonl")
    answer = client.get(PATH, headers=bearer(text))
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert set(answer.json) == FIELDS
    may_change = "admin" in scopes
    assert answer.json["keys"] == "on"
    assert answer.json["name"] == "ann@example"
    assert answer.json["scopes"] == list(scopes)
    assert answer.json["models"] == ["m", "digits-*"]
    assert answer.json["can_change"] is may_change
    assert answer.json["why_not"] == (
        "" if may_change else f"the key ann@example has no scope admin; it has {', '.join(scopes)}"
    )
    assert text not in answer.text


def test_no_key_or_one_that_is_not_valid_gets_401(make_client, config_file, tmp_path):
    now = datetime.now(UTC)
    made = {
        "off": make_key("off", disabled=True),
        "late": make_key("late", expires=now - timedelta(seconds=1)),
    }
    write(tmp_path / "keys.jsonl", *(key for _, key in made.values()))
    client = make_client(model_config_file=config_file, keys_file=tmp_path / "keys.jsonl")
    for headers in ({}, bearer(make_key()[0]), *(bearer(text) for text, _ in made.values())):
        answer = client.get(PATH, headers=headers)
        assert answer.status_code == 401
        assert "WWW-Authenticate" in answer.headers
        assert answer.json["ok"] is False
