"""Prometheus' configuration and rules, by promtool; and the runbook has what they lead to."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.observability.programs import FOLDER, program, promtool
from tests.stack.conftest import ROOT

CASES = Path(__file__).with_name("alerts_test.yml")
ALERTS = [rule for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
README = (ROOT / "README.md").read_text()
(ON_CALL,) = re.findall(r"^## On call\n(.*?)^## ", README, re.MULTILINE | re.DOTALL)
# From the heading of an entry to the next one.
ENTRIES = dict(re.findall(r"^#### (\w+)\n(.*?)(?=^#|\Z)", ON_CALL, re.MULTILINE | re.DOTALL))


def test_the_configuration_and_the_rules_are_valid():
    code, printed = promtool("check", "config", "prometheus.yml")
    assert code == 0, printed
    assert "2 rule files found" in printed


@pytest.mark.parametrize("settings", [{}, {"GATEWAY_TLS_CERT": "/tls/cert.pem"}, {"GATEWAY_METRICS_KEY": "on"}], ids=str)
def test_what_the_start_makes_of_the_configuration_is_valid(tmp_path, settings):
    """The program that it starts is asked for its version only."""
    program("prometheus")
    (tmp_path / "metrics.key").write_text("key")
    environment = {"METRICS_KEY_FILE": str(tmp_path / "metrics.key"), "PROMETHEUS_CONFIG_DIR": str(tmp_path)} | settings
    command = ["sh", str(FOLDER / "start.sh"), "--version"]
    subprocess.run(command, env=os.environ | environment, capture_output=True, timeout=30, check=True)
    code, printed = promtool("check", "config", "prometheus.yml", cwd=tmp_path)
    assert code == 0, printed
    job = yaml.safe_load((tmp_path / "prometheus.yml").read_text())["scrape_configs"][-1]
    assert job["job_name"] == "gateway"
    assert job.get("scheme", "http") == ("https" if "GATEWAY_TLS_CERT" in settings else "http")
    assert ("authorization" in job) == ("GATEWAY_METRICS_KEY" in settings)


def test_a_start_with_a_bad_setting_ends_and_names_it(tmp_path):
    environment = {"GATEWAY_METRICS_KEY": "yes", "PROMETHEUS_CONFIG_DIR": str(tmp_path)}
    command = ["sh", str(FOLDER / "start.sh"), "--version"]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (1, "prometheus: GATEWAY_METRICS_KEY=yes: expected on or off\n")


def test_every_alert_fires_and_does_not_fire_when_it_should():
    code, printed = promtool("test", "rules", str(CASES.relative_to(ROOT)), cwd=ROOT)
    assert code == 0, printed


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(alert):
    """No case names the series of another instance that must not fire: the alerts that are expected are all that there are."""
    tried = [case for test in yaml.safe_load(CASES.read_text())["tests"] for case in test["alert_rule_test"]]
    of_alert = [case for case in tried if case["alertname"] == alert["alert"]]
    assert any(case.get("exp_alerts") for case in of_alert)
    has_quiet_instance = len({series["series"] for test in _tests_of(alert) for series in test["input_series"]}) > 1
    assert has_quiet_instance or any(not case.get("exp_alerts") for case in of_alert)


def _tests_of(alert: dict) -> list[dict]:
    tests = yaml.safe_load(CASES.read_text())["tests"]
    return [test for test in tests if any(case["alertname"] == alert["alert"] for case in test["alert_rule_test"])]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_each_alert_has_its_entry_in_the_runbook_to_which_it_leads(alert):
    entry = ENTRIES[alert["alert"]]
    for part in ("**Means.**", "**Look.**", "**Do.**"):
        assert part in entry
    # As Markdown makes the anchor of a heading.
    assert alert["annotations"]["runbook_url"] == f"README.md#{alert['alert'].lower()}"
    assert alert["labels"]["severity"] in ("page", "ticket")


def test_the_runbook_has_no_entry_for_an_alert_that_does_not_exist():
    assert set(ENTRIES) == {alert["alert"] for alert in ALERTS}


def test_every_metric_that_the_runbook_names_is_one_of_the_gateway():
    declared = "".join(path.read_text() for path in (ROOT / "gateway" / "telemetry").glob("*.py"))
    for name in re.findall(r"`(gateway_[a-z_]+)", ON_CALL):
        assert f'"{name}"' in declared, name
