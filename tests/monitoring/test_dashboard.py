"""The Grafana dashboard: of the form that Grafana reads, and of queries that Prometheus understands."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator

from tests.monitoring.shipped import METRIC, alerts, dashboard, expressions, promtool

SCHEMA = Path(__file__).with_name("dashboard.schema.json")


def test_it_is_of_the_form_that_grafana_reads() -> None:
    schema = json.loads(SCHEMA.read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    wrong = [
        f"{one.json_path}: {one.message}"
        for one in Draft202012Validator(schema).iter_errors(dashboard())
    ]

    assert wrong == []


def test_a_key_that_grafana_does_not_know_is_found() -> None:
    schema = Draft202012Validator(json.loads(SCHEMA.read_text("utf-8")))
    for change in (
        {"titel": "x"},
        {"type": "graph"},
        {"gridPos": {"x": 24, "y": 0, "w": 1, "h": 1}},
    ):
        board = dashboard()
        board["panels"][0] |= change
        assert not schema.is_valid(board), change


def test_every_query_is_promql(tmp_path: Path) -> None:
    made = [{"record": f"panel:{n}", "expr": one} for n, one in enumerate(expressions())]
    path = tmp_path / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": made}]}))

    assert f"{len(made)} rules found" in promtool("check", "rules", path)


def test_what_only_an_alert_of_hours_would_tell_is_seen_at_once() -> None:
    """Prunes fail for six hours, sources are away for a quarter of one, before anybody is told."""
    shown = set(METRIC.findall(json.dumps(dashboard())))
    for name in ("DrdPruneFailing", "DrdStoreUnreachable", "DrdSourceUnreachable"):
        assert set(METRIC.findall(alerts()[name]["expr"])) <= shown, name


def test_panels_lie_beside_each_other() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for one, other in combinations([panel["gridPos"] for panel in panels], 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)


def test_each_column_of_the_table_has_a_name() -> None:
    (table,) = (panel for panel in dashboard()["panels"] if panel["type"] == "table")
    (names,) = (
        one["options"]["renameByName"]
        for one in table["transformations"]
        if one["id"] == "organize"
    )

    assert {f"Value #{target['refId']}" for target in table["targets"]} <= names.keys()
    for override in table["fieldConfig"]["overrides"]:
        assert override["matcher"]["options"] in names.values()
