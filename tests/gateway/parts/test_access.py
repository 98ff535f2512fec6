"""What a start says of keys and limits that its settings leave without effect."""

import pytest
from structlog.testing import capture_logs

from gateway.parts.access import check_access
from gateway.settings import SettingsError, settings_from_environment
from tests.gateway.access.made_keys import make_key, write

LIMITS, PROXIES, METRICS = "GATEWAY_ADDRESS_LIMITS", "GATEWAY_TRUSTED_PROXIES", "GATEWAY_METRICS_KEY"
REDIS = "GATEWAY_REDIS_URL"
VALUES = {LIMITS: "5/min", PROXIES: "10.0.0.0/8", METRICS: "on", REDIS: "redis://127.0.0.1:1/0"}


@pytest.mark.parametrize(
    ("given", "has_keys", "unused"),
    [
        ((), False, []),
        ((LIMITS, PROXIES, REDIS), False, []),
        ((METRICS, REDIS), False, [REDIS, METRICS]),
        # Behind nginx a proxy is believed for the https:// in the pages too.
        ((PROXIES,), False, []),
        ((METRICS, REDIS), True, []),
        ((LIMITS, PROXIES), True, [LIMITS]),
    ],
)
def test_a_setting_without_effect_is_told_once(tmp_path, given, has_keys, unused):
    write(tmp_path / "keys.jsonl", make_key()[1])
    environment = {name: VALUES[name] for name in given}
    if has_keys:
        environment["GATEWAY_KEYS_FILE"] = str(tmp_path / "keys.jsonl")
    with capture_logs() as events:
        check_access(settings_from_environment(environment))
    told = [event for event in events if event["event"] == "setting.unused"]
    assert [event["setting"] for event in told] == unused
    assert {event["log_level"] for event in told} <= {"warning"}


@pytest.mark.parametrize("url", ["redis://:s3cr3t@localhost/zz", "redis://:s3c#r3t@localhost/0"])
def test_a_redis_url_that_is_none_stops_the_start_without_its_password(url):
    with pytest.raises(SettingsError, match=r"^GATEWAY_REDIS_URL: expected a URL such as ") as refused:
        check_access(settings_from_environment({REDIS: url}))
    assert "3c" not in str(refused.value)
    assert "r3t" not in str(refused.value)
