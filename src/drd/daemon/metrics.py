"""Metrics of the daemon: names, labels and values, from one :class:`~drd.daemon.seen.Seen`.

1. What is not known has no series: 0 would be a statement.
2. Labels are bounded by the configuration: ``source``, ``lineage`` (the image's name), ``tenant``,
   ``level``, ``kind``, ``outcome``, ``state``. Ids, points, hosts and messages never become labels.
3. One name, one series: where a new image has taken a name over, the old one's series are left out.
4. Names are Prometheus' way: base units, ``_timestamp_seconds`` for moments, ``_total`` for what only
   grows (https://prometheus.io/docs/practices/naming/). ``docs/metrics.md`` lists them all.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample
from typing_extensions import override

from drd import __version__
from drd.daemon.seen import Seen, SourceState, Total, VerifyGoal
from drd.model import Standing, State

__all__ = ["DaemonCollector", "Seen", "SourceState", "Total", "VerifyGoal"]


Labels = dict[str, str]
Value = float | datetime | None
Row = tuple[Labels, Value]


class DaemonCollector(Collector):
    """Gives prometheus-client what the newest :class:`Seen` says; nothing before there is one."""

    def __init__(self, seen: Callable[[], Seen | None]) -> None:
        self._seen = seen

    @override
    def collect(self) -> Iterator[Metric]:
        """One family after the other, so that the samples of one alone are in memory."""
        seen = self._seen()
        build = {"version": __version__, "python": platform.python_version()}
        yield _gauge(
            "drd_build_info", "Version of the daemon and of its Python; always 1.", [(build, 1)]
        )
        if seen is None:
            return
        yield from _scheduler(seen)
        yield from _surroundings(seen)
        yield from _sources(seen)
        yield from _runs(seen)
        yield from _lineages(seen)


def _gauge(name: str, about: str, rows: Iterable[Row]) -> Metric:
    return _filled(GaugeMetricFamily(name, about), name, rows)


def _counter(name: str, about: str, rows: Iterable[Row]) -> Metric:
    return _filled(CounterMetricFamily(name, about), name, rows)


def _filled(family: Metric, name: str, rows: Iterable[Row]) -> Metric:
    """Rows of one lineage share their labels, so that they are written out once (``exposition``)."""
    for labels, value in rows:
        if value is not None:  # rule 1
            number = value.timestamp() if isinstance(value, datetime) else float(value)
            family.samples.append(Sample(name, labels, number))
    return family


def _one(name: str, about: str, value: Value) -> Metric:
    return _gauge(name, about, [({}, value)])


def _truth(value: bool | None) -> float | None:  # noqa: FBT001 - it is the value
    return None if value is None else float(value)


def _scheduler(seen: Seen) -> Iterator[Metric]:
    yield _one(
        "drd_scheduler_last_tick_timestamp_seconds",
        "End of the newest tick, at which the daemon looks what is due.",
        seen.tick_at,
    )
    yield _counter(
        "drd_scheduler_ticks_total", "Ticks since the daemon started.", [({}, seen.ticks)]
    )
    yield _one(
        "drd_scheduler_tick_duration_seconds", "Duration of the newest tick.", seen.tick_seconds
    )
    yield _one(
        "drd_scheduler_tick_interval_seconds",
        "How often a tick is due ([daemon] tick).",
        seen.tick_every,
    )
    yield _one("drd_run_queue", "Runs that are due and wait for a worker.", seen.queue)
    yield _one("drd_run_workers", "Runs that may go on at once ([daemon] workers).", seen.workers)


def _surroundings(seen: Seen) -> Iterator[Metric]:
    yield _one(
        "drd_store_reachable",
        "Whether the newest run that needed the bucket reached it (1) or not (0).",
        _truth(seen.store_reachable),
    )
    yield _one(
        "drd_store_last_reachable_timestamp_seconds",
        "When a run reached the bucket last.",
        seen.store_reachable_at,
    )
    yield _one(
        "drd_clock_skew_seconds",
        "How far the newest point lies ahead of this host's clock; 0 when it does not.",
        seen.skew_seconds,
    )
    yield _one(
        "drd_config_refused",
        "Whether the newest reload was refused (1), so that an older configuration is in force.",
        _truth(seen.config_refused),
    )
    yield _one(
        "drd_prune_failures",
        "Prunes that failed since the last one that did not.",
        seen.prune_failures,
    )


def _sources(seen: Seen) -> Iterator[Metric]:
    each = [({"source": name}, one) for name, one in sorted(seen.sources.items())]
    yield _gauge(
        "drd_source_reachable",
        "Whether the newest look at the source succeeded (1) or not (0).",
        ((labels, _truth(one.reachable)) for labels, one in each),
    )
    yield _gauge(
        "drd_source_checked_timestamp_seconds",
        "When the source was looked into last.",
        ((labels, one.checked_at) for labels, one in each),
    )
    yield _gauge(
        "drd_source_images",
        "Images that the source shows.",
        ((labels, one.images) for labels, one in each),
    )
    yield _gauge(
        "drd_source_unprotected",
        "Images of the source that no policy covers.",
        ((labels, one.unprotected) for labels, one in each),
    )
    yield _gauge(
        "drd_snapshot_orphans",
        "Snapshots on the source that runs left behind which died.",
        ((labels, one.orphan_snapshots) for labels, one in each),
    )


def _runs(seen: Seen) -> Iterator[Metric]:
    active = Counter((run.source, run.kind) for run in seen.running)
    yield _gauge(
        "drd_run_active",
        "Runs under way.",
        (({"source": source, "kind": kind}, n) for (source, kind), n in sorted(active.items())),
    )
    counted: dict[str, tuple[str, Callable[[Total], float]]] = {
        "drd_run_ended_total": ("Runs that ended.", lambda total: total.runs),
        "drd_run_seconds_total": ("Seconds that runs took.", lambda total: total.seconds),
        "drd_run_read_bytes_total": (
            "Bytes read from sources.",
            lambda total: total.bytes_read,
        ),
        "drd_run_changed_bytes_total": (
            "Bytes of blocks that had changed.",
            lambda total: total.bytes_changed,
        ),
        "drd_run_uploaded_bytes_total": (
            "Bytes put into the bucket.",
            lambda total: total.bytes_uploaded,
        ),
    }
    each = [
        ({"source": one.source, "kind": one.kind, "outcome": one.outcome.value}, one)
        for one in seen.totals
    ]
    for name, (about, value) in counted.items():
        yield _counter(name, about, ((labels, value(one)) for labels, one in each))


def _lineages(seen: Seen) -> Iterator[Metric]:
    counts = Counter((one.source, one.state.value) for one in seen.standings)
    yield _gauge(
        "drd_lineages",
        "Images and lineages by state, as drctl status tells them.",
        (({"source": source, "state": state}, n) for (source, state), n in sorted(counts.items())),
    )
    chosen = [(_labels(one, seen.tenant), one) for one in _distinct(seen.standings)]
    plain: dict[str, tuple[str, Callable[[Standing], Value]]] = {
        "drd_recovery_point_timestamp_seconds": (
            "Time of the snapshot of the newest committed point.",
            lambda one: one.point_at,
        ),
        "drd_recovery_points": (
            "Points that can be restored.",
            lambda one: one.points if one.point_at else None,
        ),
        "drd_policy_rpo_seconds": (
            "How old the newest point may be, by the policy.",
            lambda one: one.rpo,
        ),
        "drd_lineage_first_seen_timestamp_seconds": (
            "When a source showed the image first.",
            lambda one: one.first_seen,
        ),
        "drd_lineage_decommissioned": (
            "Whether no source shows the image any more (1).",
            lambda one: float(one.state in (State.GONE, State.STRANGE)),
        ),
        "drd_lineage_size_bytes": (
            "Size of the image at its newest point.",
            lambda one: one.size if one.point_at else None,
        ),
        "drd_schedule_next_run_timestamp_seconds": (
            "When the next run is due; in the past for one that waits.",
            lambda one: one.next_run,
        ),
        "drd_run_failures": (
            "Runs that failed since the last one that did not.",
            lambda one: one.failures if one.policy else None,
        ),
    }
    for name, (about, value) in plain.items():
        yield _gauge(name, about, ((labels, value(one)) for labels, one in chosen))
    yield from _last_runs(chosen)
    yield from _verified(chosen, seen)


def _last_runs(chosen: Sequence[tuple[Labels, Standing]]) -> Iterator[Metric]:
    ended = [(labels, one.last_run) for labels, one in chosen if one.last_run]
    yield _gauge(
        "drd_run_last_end_timestamp_seconds",
        "When the newest run of the image ended.",
        ((labels, run.ended_at) for labels, run in ended),
    )
    yield _gauge(
        "drd_run_last_duration_seconds",
        "How long the newest run of the image took.",
        ((labels, run.seconds if run.ended_at else None) for labels, run in ended),
    )


def _verified(chosen: Sequence[tuple[Labels, Standing]], seen: Seen) -> Iterator[Metric]:
    proven = [
        (labels | {"level": str(result.level)}, result)
        for labels, one in chosen
        for result in one.verified
    ]
    yield _gauge(
        "drd_verify_last_success_timestamp_seconds",
        "When a verify of that level ended last without a finding, unless a later one had some.",
        ((labels, result.at if result.ok else None) for labels, result in proven),
    )
    yield _gauge(
        "drd_verify_findings",
        "What the newest verify of that level found to be damaged.",
        ((labels, 0 if result.ok else max(1, result.findings)) for labels, result in proven),
    )
    yield _gauge(
        "drd_policy_verify_interval_seconds",
        "How often a verify of that level is due, by the policy.",
        (
            (labels | {"level": str(goal.level)}, goal.every)
            for labels, one in chosen
            if (goal := seen.goals.get(one.policy)) and one.point_at
        ),
    )


def _labels(one: Standing, tenant: str) -> Labels:
    """Labels of a lineage. Names are of people: what is no UTF-8 is written as ``?``."""
    name = one.label.encode("utf-8", "replace").decode()
    return {"source": one.source, "lineage": name, "tenant": tenant}


def _distinct(standings: Sequence[Standing]) -> list[Standing]:
    """One for each source and name (rule 3): what is there before what is gone, then the newer."""
    best: dict[tuple[str, str], Standing] = {}
    for one in standings:
        key = (one.source, one.label)
        if key not in best or _rank(one) > _rank(best[key]):
            best[key] = one
    return list(best.values())


def _rank(one: Standing) -> tuple[bool, float]:
    here = one.state not in (State.GONE, State.STRANGE)
    newest = one.point_at or one.first_seen
    return here, newest.timestamp() if newest else 0.0
