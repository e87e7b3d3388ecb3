"""The alert rules, by promtool: well-formed, and each of them fires when it should and not when it should not."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.unit.monitoring_files import ALERTS, GUIDE, PROMETHEUS, alerts

CASES = Path(__file__).with_name("alert_cases.yaml")
SEVERITIES = {"critical", "warning", "info"}


def promtool(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *map(str, words)], capture_output=True, text=True, timeout=120)


@pytest.mark.needs_program("promtool", package="prometheus")
def test_prometheus_accepts_its_configuration_and_the_rules():
    told = promtool("check", "config", PROMETHEUS / "prometheus.yml")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "1 rule files found" in told.stdout
    told = promtool("check", "rules", ALERTS)
    assert told.returncode == 0, told.stdout + told.stderr
    assert f"{len(alerts())} rules found" in told.stdout


@pytest.mark.needs_program("promtool", package="prometheus")
def test_alerts_fire_when_they_should_and_not_when_they_should_not():
    told = promtool("test", "rules", CASES)
    assert told.returncode == 0, told.stdout + told.stderr


@pytest.mark.needs_program("promtool", package="prometheus")
@pytest.mark.parametrize("spoilt", ["vector(0) > 1", "vector(1)"], ids=["never fires", "always fires"])
@pytest.mark.parametrize("name", [rule["alert"] for rule in alerts()])
def test_the_cases_notice_an_alert_that_never_or_always_fires(name: str, spoilt: str, tmp_path: Path):
    rules = yaml.safe_load(ALERTS.read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            if rule["alert"] == name:
                rule.update(expr=spoilt)
                rule.pop("for", None)
    (tmp_path / "alerts.yaml").write_text(yaml.safe_dump(rules))
    cases = yaml.safe_load(CASES.read_text())
    about_it = [case for case in cases["tests"] if name in str(case["promql_expr_test"])]
    spoilt_cases = {**cases, "rule_files": ["alerts.yaml"], "tests": about_it}
    (tmp_path / "cases.yaml").write_text(yaml.safe_dump(spoilt_cases))
    told = promtool("test", "rules", tmp_path / "cases.yaml")
    assert told.returncode == 1, f"{CASES.name} holds although {name} is spoilt"
    assert name in told.stdout + told.stderr


def test_every_alert_has_a_severity_and_says_what_happened_and_what_to_do():
    for rule in alerts():
        severity = rule["labels"]["severity"]
        assert severity in SEVERITIES or severity == "{{ $labels.severity }}"
        what_happened, *what_to_do = re.split(r"[.;] ", rule["annotations"]["summary"])
        assert what_happened and what_to_do, f"{rule['alert']}: say what happened, then what to do"


def test_the_guide_has_a_line_for_every_alert_and_for_no_other():
    told = re.findall(r"^\| `([A-Z]\w+)` \|", GUIDE.read_text(), flags=re.MULTILINE)
    assert sorted(told) == sorted(rule["alert"] for rule in alerts())
