"""The rules: accepted by Prometheus, tested, and each alert with a page that says what to do."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.prometheus.tools import PROMETHEUS, ROOT, RULES, promtool, rules, tool

ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}
TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))
RUNBOOKS = ROOT / "docs" / "runbooks"


def test_a_tool_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    for ci, outcome in (("", pytest.skip.Exception), ("true", pytest.fail.Exception)):
        monkeypatch.setenv("CI", ci)
        with pytest.raises(outcome, match="promtool: not installed"):
            tool("promtool")


def cases() -> list[dict[str, Any]]:
    return [
        case
        for path in TESTS
        for test in yaml.safe_load(path.read_text("utf-8"))["tests"]
        for case in test.get("alert_rule_test", []) + test.get("promql_expr_test", [])
    ]


def test_prometheus_accepts_configuration_and_rules() -> None:
    said = promtool("check", "config", str(PROMETHEUS / "prometheus.yml"))
    assert f"{len(RULES)} rule files found" in said
    assert len(RULES) == 2
    promtool("check", "rules", *map(str, RULES))


def test_rules_do_what_their_tests_say() -> None:
    promtool("test", "rules", *(path.name for path in TESTS), where=PROMETHEUS / "tests")


def test_every_alert_is_tested_to_fire_and_to_stay_silent() -> None:
    alerts = [case for case in cases() if "alertname" in case]
    fires = {case["alertname"] for case in alerts if case["exp_alerts"]}
    silent = {case["alertname"] for case in alerts if not case["exp_alerts"]}
    assert fires == silent == ALERTS.keys()


def test_every_recorded_name_is_tested() -> None:
    expressions = " ".join(case["expr"] for case in cases() if "expr" in case)
    for rule in rules():
        name = rule.get("record")
        assert name is None or re.search(rf"(?<![\w:]){name}(?![\w:])", expressions), name


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_is_the_matter_and_where_to_read_on(name: str) -> None:
    alert = ALERTS[name]
    assert re.fullmatch(r"\d+m", alert["for"])
    assert alert["labels"]["severity"] in ("info", "warning", "critical")
    said = alert["annotations"]
    assert said.keys() == {"summary", "description", "runbook_url"}
    assert said["summary"] != said["description"]
    assert said["runbook_url"] == f"docs/runbooks/{name}.md"
    page = (ROOT / said["runbook_url"]).read_text("utf-8")
    headings = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    wanted = ["What it means", "What to look at", "What to do", "When it is a false alarm"]
    assert headings == [name, *wanted]


def test_no_runbook_is_left_over() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == ALERTS.keys()


def test_runbooks_lead_to_pages_that_exist() -> None:
    for path in RUNBOOKS.glob("*.md"):
        for link in re.findall(r"\]\(([^)]+)\)", path.read_text("utf-8")):
            page, _, place = link.partition("#")
            assert (path.parent / page).is_file(), (path.name, link)
            titles = re.findall(r"^#+ (.+)$", (path.parent / page).read_text("utf-8"), re.MULTILINE)
            assert not place or place in {title.lower().replace(" ", "-") for title in titles}
