"""What the folder ``monitoring`` ships: rules, their cases, the dashboard; and promtool."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "monitoring"
RULES = sorted(MONITORING.glob("drd.*.yml"))
CASES = sorted((MONITORING / "tests").glob("*.yml"))
DASHBOARD = MONITORING / "grafana" / "drd.json"
METRIC = re.compile(r"\b(?:drd_[a-z0-9_]+|drd:[a-z0-9_:]+)\b")


def promtool(*arguments: object) -> str:
    """Run promtool, which must succeed; returns what it printed."""
    done = subprocess.run(
        ["promtool", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rules(path: Path) -> list[dict[str, Any]]:
    """All rules of a file."""
    loaded = yaml.safe_load(path.read_text("utf-8"))
    return [rule for group in loaded["groups"] for rule in group["rules"]]


def all_rules() -> list[dict[str, Any]]:
    """All rules of all files."""
    return [rule for path in RULES for rule in rules(path)]


def alerts() -> dict[str, dict[str, Any]]:
    """Alerts by name."""
    return {rule["alert"]: rule for rule in all_rules() if "alert" in rule}


def cases() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each case of an alert with the name of its test."""
    for path in CASES:
        for test in yaml.safe_load(path.read_text("utf-8"))["tests"]:
            for case in test.get("alert_rule_test", ()):
                yield test["name"], case


def dashboard() -> dict[str, Any]:
    """The dashboard."""
    loaded: dict[str, Any] = json.loads(DASHBOARD.read_text("utf-8"))
    return loaded


def expressions() -> list[str]:
    """Every PromQL of the dashboard, its variables filled in."""
    found = [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]
    return [one.replace("$source", ".*") for one in found]
