"""The example for Alertmanager in docs/alerts.md: amtool reads it, and routes each alert by it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.monitoring.shipped import ROOT, alerts

EXAMPLE = re.compile(r"```yaml\n(route:\n.*?)```", re.DOTALL)
RECEIVERS = {"page": "on-call", "ticket": "tickets", "none": "dead-mans-switch"}


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's example as a file."""
    found = EXAMPLE.search((ROOT / "docs" / "alerts.md").read_text("utf-8"))
    assert found
    path = tmp_path_factory.mktemp("alertmanager") / "alertmanager.yml"
    path.write_text(found[1], encoding="utf-8")
    return path


def amtool(*arguments: object) -> str:
    """Run amtool, which must succeed; returns what it printed."""
    done = subprocess.run(
        ["amtool", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_amtool_understands_the_example(example: Path) -> None:
    said = amtool("check-config", example)
    assert "SUCCESS" in said
    assert f"{len(RECEIVERS)} receivers" in said


def test_each_alert_goes_to_whom_its_severity_means(example: Path) -> None:
    for name, alert in alerts().items():
        severity = alert["labels"]["severity"]
        labels = (f"alertname={name}", f"severity={severity}")
        said = amtool("config", "routes", "test", "--config.file", example, *labels)
        assert said.strip() == RECEIVERS[severity], name


def test_the_example_names_no_alert_that_is_not_there(example: Path) -> None:
    assert set(re.findall(r"\bDrd[A-Za-z]+", example.read_text("utf-8"))) <= set(alerts())
