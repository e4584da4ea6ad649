"""What the daemon's metrics say of a Seen, and what they leave out."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from drd.daemon.exposition import render
from drd.daemon.metrics import DaemonCollector
from drd.daemon.seen import Seen, SourceState
from drd.daemon.serving import Metrics
from drd.model import State
from tests.unit.daemon.shown import FULL, NEW, NOW, TENANT, WHOLE, Sample, names, samples, value

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"


def shown(seen: Seen | None) -> dict[Sample, float]:
    """The samples of one Seen."""
    metrics = Metrics(lambda: NOW)
    if seen is not None:
        metrics.show(seen)
    return samples(metrics.text())


def test_a_lineage_has_the_names_and_labels_of_the_contract() -> None:
    found = shown(FULL)
    mine = {"source": "vms", "lineage": "vms/a", "tenant": TENANT}

    at = (NOW - timedelta(minutes=30)).timestamp()
    assert value(found, "drd_recovery_point_timestamp_seconds", **mine) == at
    assert value(found, "drd_policy_rpo_seconds", **mine) == 7200
    assert value(found, "drd_recovery_points", **mine) == 12
    assert value(found, "drd_lineage_size_bytes", **mine) == 1 << 30
    assert value(found, "drd_lineage_decommissioned", **mine) == 0
    assert value(found, "drd_run_failures", **mine) == 0
    assert value(found, "drd_run_last_duration_seconds", **mine) == 60.5
    next_run = (NOW + timedelta(minutes=30)).timestamp()
    assert value(found, "drd_schedule_next_run_timestamp_seconds", **mine) == next_run
    seen = (NOW - timedelta(days=9)).timestamp()
    assert value(found, "drd_lineage_first_seen_timestamp_seconds", **mine) == seen
    verified = (NOW - timedelta(hours=1)).timestamp()
    success = "drd_verify_last_success_timestamp_seconds"
    assert value(found, success, **mine, level="2") == verified
    assert value(found, "drd_verify_findings", **mine, level="2") == 0
    assert value(found, "drd_verify_findings", **mine, level="1") == 4
    assert value(found, "drd_policy_verify_interval_seconds", **mine, level="2") == 86400
    assert (success, frozenset({**mine, "level": "1"}.items())) not in found


def test_sources_runs_and_the_daemon_itself() -> None:
    found = shown(FULL)

    assert value(found, "drd_source_unprotected", source="vms") == 1
    assert value(found, "drd_source_images", source="vms") == 3
    assert value(found, "drd_snapshot_orphans", source="vms") == 0
    assert value(found, "drd_source_reachable", source="dark") == 0
    done = {"source": "vms", "kind": "backup", "outcome": "done"}
    assert value(found, "drd_run_ended_total", **done) == 5
    assert value(found, "drd_run_read_bytes_total", **done) == 500
    assert value(found, "drd_run_changed_bytes_total", **done) == 50
    assert value(found, "drd_run_uploaded_bytes_total", **done) == 40
    assert value(found, "drd_run_seconds_total", **done) == 12.5
    assert value(found, "drd_run_active", source="vms", kind="backup") == 1
    assert value(found, "drd_scheduler_last_tick_timestamp_seconds") == NOW.timestamp()
    assert value(found, "drd_scheduler_ticks_total") == 77
    assert value(found, "drd_run_queue") == 4
    assert value(found, "drd_run_workers") == 2
    assert value(found, "drd_lineages", source="vms", state="waiting") == 1


def test_what_is_not_known_is_absent_and_never_0() -> None:
    found = shown(FULL)
    new = frozenset({"source": "vms", "lineage": "vms/new", "tenant": TENANT}.items())

    has = {name for name, labels in found if labels == new}
    assert has == {
        "drd_policy_rpo_seconds",
        "drd_lineage_first_seen_timestamp_seconds",
        "drd_lineage_decommissioned",
        "drd_run_failures",
    }
    for source, known in (
        ("dark", {"drd_source_reachable", "drd_source_checked_timestamp_seconds"}),
        ("fresh", set[str]()),
    ):
        labels = frozenset({"source": source}.items())
        assert {name for name, one in found if one == labels} == known


def test_an_empty_seen_has_no_series_of_what_nobody_knows() -> None:
    found = shown(Seen(at=NOW))

    drd = {name for name in names(found) if name.startswith("drd_")}
    assert drd == {
        "drd_build_info",
        "drd_scheduler_ticks_total",
        "drd_scheduler_tick_interval_seconds",
    }


def test_before_the_first_tick_there_is_only_the_build() -> None:
    drd = {name for name in names(shown(None)) if name.startswith("drd_")}

    assert drd == {"drd_build_info"}


@pytest.mark.parametrize("state", [State.GONE, State.STRANGE])
def test_a_name_that_another_image_took_over_is_one_series(state: State) -> None:
    old = replace(WHOLE, identity="rbd:0", state=state, point_at=NOW, rpo=None)
    fresh = replace(WHOLE, point_at=None)
    mine = {"source": "vms", "lineage": "vms/a", "tenant": TENANT}

    for order in ((old, fresh), (fresh, old)):
        found = shown(replace(FULL, standings=order))  # samples() refuses what is there twice
        assert value(found, "drd_policy_rpo_seconds", **mine) == 7200
        point = ("drd_recovery_point_timestamp_seconds", frozenset(mine.items()))
        assert point not in found
        assert value(found, "drd_lineages", source="vms", state=state.value) == 1


def test_one_that_is_gone_is_decommissioned() -> None:
    found = shown(replace(FULL, standings=(replace(WHOLE, state=State.GONE),)))

    mine = {"source": "vms", "lineage": "vms/a", "tenant": TENANT}
    assert value(found, "drd_lineage_decommissioned", **mine) == 1


@pytest.mark.parametrize("name", ['a"b\\c\nd', "ü@1 x", "bad\udcff"])
def test_names_of_people_stay_one_line_of_text(name: str) -> None:
    found = shown(replace(FULL, standings=(replace(NEW, label=f"vms/{name}"),)))

    (label,) = {dict(labels)["lineage"] for one, labels in found if one == "drd_policy_rpo_seconds"}
    assert label == f"vms/{name}".replace("\udcff", "?")


def test_the_text_says_what_prometheus_client_would() -> None:
    odd = replace(WHOLE, label='vms/a"b\\c\nd ü', size=3)
    seen = replace(FULL, standings=(*FULL.standings, odd))
    registry = CollectorRegistry(auto_describe=False)
    registry.register(DaemonCollector(lambda: seen))

    ours = render(registry.collect())
    assert samples(ours) == samples(generate_latest(registry))
    said = {line for line in ours.decode().splitlines() if line.startswith("#")}
    theirs = generate_latest(registry).decode().splitlines()
    assert said == {line for line in theirs if line.startswith("#")}


def test_labels_are_those_of_the_contract_alone() -> None:
    labels = {label for name, pairs in shown(FULL) if name.startswith("drd_") for label, _ in pairs}

    assert labels == {
        *("source", "lineage", "tenant", "level", "kind", "outcome", "state"),
        *("version", "python"),
    }


def test_the_page_lists_every_metric_and_no_other() -> None:
    listed = set(re.findall(r"^\| `(drd_[a-z_]+)", PAGE.read_text("utf-8"), re.MULTILINE))

    exported = {name for name in names(shown(FULL)) if name.startswith("drd_")}
    assert {name for name in listed if not name.startswith("drd_check_")} == exported


def test_a_count_that_was_never_made_is_not_0() -> None:
    sources = {"vms": SourceState(reachable=True, checked_at=NOW, images=0, unprotected=0)}
    found = shown(replace(FULL, sources=sources))

    assert value(found, "drd_source_unprotected", source="vms") == 0
    assert "drd_snapshot_orphans" not in names(found)
