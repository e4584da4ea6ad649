"""The shipped rules: promtool runs their cases, and every alert has what who is called at night needs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from drd.daemon.serving import Metrics
from tests.monitoring.shipped import (
    CASES,
    DASHBOARD,
    METRIC,
    MONITORING,
    ROOT,
    RULES,
    alerts,
    all_rules,
    cases,
    expressions,
    promtool,
)
from tests.unit.check.second import Second
from tests.unit.check.second import samples as lines
from tests.unit.daemon.shown import FULL, names, samples

ALWAYS = {"DrdWatchdog"}
"""Fires always: that is what it is for, so there is no case in which it does not."""
SEVERITIES = {"page", "ticket", "none"}


@pytest.mark.parametrize("path", RULES, ids=lambda path: str(path.name))
def test_promtool_understands_the_rules(path: Path) -> None:
    assert "SUCCESS" in promtool("check", "rules", path)


@pytest.mark.parametrize("path", CASES, ids=lambda path: str(path.name))
def test_the_cases_of_the_rules(path: Path) -> None:
    promtool("test", "rules", path)


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    fires = {case["alertname"] for _, case in cases() if case["exp_alerts"]}
    quiet = {case["alertname"] for _, case in cases() if not case["exp_alerts"]}

    assert fires == set(alerts())
    assert quiet == set(alerts()) - ALWAYS


def test_a_case_that_says_nothing_of_an_alert_is_none() -> None:
    """Names of alerts that do not exist would be quiet in every case."""
    assert {case["alertname"] for _, case in cases()} <= set(alerts())
    assert all("exp_alerts" in case for _, case in cases())


@pytest.mark.parametrize("name", sorted(alerts()))
def test_an_alert_says_what_it_is_and_what_to_do(name: str) -> None:
    alert = alerts()[name]
    told = alert["annotations"]

    assert set(told) == {"summary", "description", "runbook_url"}
    assert all(told.values())
    assert alert["labels"].keys() == {"severity"}
    assert alert["labels"]["severity"] in SEVERITIES
    page, _, anchor = told["runbook_url"].partition("#")
    headings = re.findall(r"^## (.+)$", (ROOT / page).read_text("utf-8"), re.MULTILINE)
    assert anchor == name.lower()
    assert anchor in [heading.lower() for heading in headings]


def test_the_page_tells_of_no_alert_that_is_not_there() -> None:
    page = (ROOT / "docs" / "alerts.md").read_text("utf-8")

    assert set(re.findall(r"\bDrd[A-Za-z]+", page)) == set(alerts())
    for name in re.findall(r"^## (Drd\w+)\n\n\*(\w+)", page, re.MULTILINE):
        assert alerts()[name[0]]["labels"]["severity"] == name[1]


def test_a_page_only_for_late_points_damage_and_theft() -> None:
    pages = {name for name, alert in alerts().items() if alert["labels"]["severity"] == "page"}

    assert pages == {
        "DrdRecoveryPointLate",
        "DrdNeverBackedUp",
        "DrdVerifyFailed",
        "DrdSecondSiteCheckFailing",
        "DrdSecondSiteLate",
    }


def test_every_metric_that_is_asked_for_is_exported(tmp_path: Path) -> None:
    second = Second(tmp_path / "site")
    second.back_up("a")
    second.check("--textfile", tmp_path / "check.prom")
    told = {name for name, _, _ in lines((tmp_path / "check.prom").read_text())}
    told |= names(samples(shown()))
    told |= {rule["record"] for rule in all_rules() if "record" in rule}
    asked = [*(rule["expr"] for rule in all_rules()), *expressions()]

    assert {name for one in asked for name in METRIC.findall(one)} <= told
    for path in CASES:  # else a case proves something of a series that nobody makes
        series = re.findall(r"series: '(drd_[a-z_]+)", path.read_text("utf-8"))
        assert set(series) <= told, path


def test_everything_is_shipped() -> None:
    assert [path.name for path in RULES] == ["drd.alerts.yml", "drd.recording.yml"]
    assert DASHBOARD.parent.parent == MONITORING


def shown() -> bytes:
    """The text of a daemon that knows everything."""
    metrics = Metrics(lambda: FULL.at)
    metrics.show(FULL)
    return metrics.text()
