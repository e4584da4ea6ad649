"""What a tick may leave behind, for tests of metrics: every field known, or none."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from prometheus_client.parser import text_string_to_metric_families

from drd.daemon.seen import Seen, SourceState, Total, VerifyGoal
from drd.model import Outcome, Proven, RunRecord, Standing, State

NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
TENANT = "ab" * 16
LINEAGE = b"\x07" * 16

Sample = tuple[str, frozenset[tuple[str, str]]]

RUN = RunRecord(
    run="0" * 16,
    kind="backup",
    subject="rbd:1",
    label="vms/a",
    source="vms",
    policy="gold",
    started_at=NOW - timedelta(minutes=3),
    ended_at=NOW - timedelta(minutes=2),
    outcome=Outcome.DONE,
    seconds=60.5,
)

WHOLE = Standing(
    label="vms/a",
    source="vms",
    identity="rbd:1",
    lineage=LINEAGE.hex(),
    policy="gold",
    state=State.OK,
    point_at=NOW - timedelta(minutes=30),
    age=1800.0,
    rpo=7200,
    next_run=NOW + timedelta(minutes=30),
    points=12,
    size=1 << 30,
    first_seen=NOW - timedelta(days=9),
    failures=0,
    last_run=RUN,
    verified=(
        Proven(LINEAGE, 2, 11, NOW - timedelta(hours=1), ok=True),
        Proven(LINEAGE, 1, 12, NOW - timedelta(minutes=5), ok=False, findings=4),
    ),
)

NEW = Standing(
    label="vms/new",
    source="vms",
    identity="rbd:2",
    lineage="",
    policy="gold",
    state=State.WAITING,
    point_at=None,
    age=None,
    rpo=7200,
    next_run=None,
    points=0,
    size=0,
    first_seen=NOW - timedelta(minutes=1),
)

FULL = Seen(
    at=NOW,
    tick_at=NOW,
    ticks=77,
    tick_seconds=0.25,
    tick_every=30,
    standings=(WHOLE, NEW),
    running=(replace(RUN, ended_at=None, outcome=None),),
    totals=(
        Total("vms", "backup", Outcome.DONE, 5, 500, 50, 40, 12.5),
        Total("vms", "backup", Outcome.FAILED, 2),
    ),
    sources={
        "vms": SourceState(
            reachable=True, checked_at=NOW, images=3, unprotected=1, orphan_snapshots=0
        ),
        "dark": SourceState(reachable=False, checked_at=NOW),
        "fresh": SourceState(),
    },
    goals={"gold": VerifyGoal(2, 86400)},
    tenant=TENANT,
    queue=4,
    workers=2,
    store_reachable=True,
    store_reachable_at=NOW - timedelta(minutes=2),
    skew_seconds=0.0,
    config_refused=False,
    prune_failures=0,
)
"""Every metric has at least one series."""


def samples(text: bytes) -> dict[Sample, float]:
    """Each sample of an exposition by name and labels; two of the same would be an error."""
    found: dict[Sample, float] = {}
    for family in text_string_to_metric_families(text.decode()):
        for one in family.samples:
            key = (one.name, frozenset(one.labels.items()))
            assert key not in found, f"twice: {key}"
            found[key] = one.value
    return found


def value(found: dict[Sample, float], name: str, **labels: str) -> float:
    """The value of the one sample with exactly these labels."""
    return found[name, frozenset(labels.items())]


def names(found: dict[Sample, float]) -> set[str]:
    """Names that have a sample."""
    return {name for name, _ in found}
