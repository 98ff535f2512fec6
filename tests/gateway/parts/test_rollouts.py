"""What the start says of the place of the plans."""

import pytest

from gateway.parts.rollouts import check_rollouts, store
from gateway.settings import SettingsError, settings_from_environment


def settings(**environ):
    return settings_from_environment({"GATEWAY_PREDICTION_LOG": "off"} | environ)


def test_without_a_folder_and_a_database_there_are_no_rollouts():
    assert store(settings()) is None
    check_rollouts(settings())


def test_the_folder_is_made_for_the_gateways_user_alone(tmp_path):
    folder = tmp_path / "new" / "state"
    check_rollouts(settings(GATEWAY_STATE_DIR=str(folder)))
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(SettingsError, match=r"^GATEWAY_STATE_DIR: expected a folder that can be used: "):
        check_rollouts(settings(GATEWAY_STATE_DIR=str(tmp_path / "file")))


def test_an_address_that_is_none_is_told_without_its_password():
    with pytest.raises(SettingsError, match=r"^DATABASE_URL: expected ") as refused:
        check_rollouts(settings(DATABASE_URL="postgresql://user:hidden@more@host/database"))
    assert "hidden" not in str(refused.value)


def test_a_database_that_is_away_does_not_stop_the_start():
    check_rollouts(settings(DATABASE_URL="postgresql://user@127.0.0.1:1/database"))
