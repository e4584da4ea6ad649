"""A backup is held up, and a real Prometheus raises the alarm; a dead daemon does not silence it."""

from __future__ import annotations

from pathlib import Path

from lab.ports import free_port
from tests.daemon.prometheus import Prometheus, watching
from tests.daemon.service import running, until
from tests.e2e.site import Site

LATE, ABSENT = "DrdRecoveryPointLate", "DrdDaemonAbsent"
HASTE = """
[policy.gold]
every = "2s"
rpo = "10s"
[daemon]
metrics = "127.0.0.1:{port}"
tick = "1s"
discover_every = "1s"
backoff = "1s"
backoff_max = "1s"
"""


def fires(prometheus: Prometheus, alert: str, lineage: str) -> None:
    until(lambda: prometheus.firing().get(alert) == [lineage], f"{alert} fires, once")


def times(prometheus: Prometheus, alert: str) -> float:
    """In how many of the last evaluations it fired."""
    return prometheus.value(
        f'count_over_time(ALERTS{{alertname="{alert}", alertstate="firing"}}[1m])'
    )


def test_a_held_up_backup_raises_one_alarm_and_a_killed_daemon_does_not_end_it(
    site: Site, tmp_path: Path
) -> None:
    site.image("a.img")
    port, own = free_port(set()), free_port(set())
    site.configure(extra=HASTE.format(port=port))
    away = site.repository.with_name("away")
    with (
        running(site.config, tmp_path / "log") as drd,
        watching(tmp_path / "prometheus", port=own, target=port) as prometheus,
    ):
        drd.wait_for("run_done", 2, kind="backup")
        until(lambda: prometheus.value("drd:rpo_ratio") > 0, "the daemon is scraped")
        assert LATE not in prometheus.firing()

        site.repository.rename(away)
        fires(prometheus, LATE, "disks/a.img")
        away.rename(site.repository)
        until(lambda: LATE not in prometheus.firing(), "a new point ends the alarm")

        site.repository.rename(away)
        fires(prometheus, LATE, "disks/a.img")
        drd.kill()
        fires(prometheus, ABSENT, "")
        until(lambda: times(prometheus, ABSENT) >= 10, "it is dead for a while")
        assert prometheus.firing()[LATE] == ["disks/a.img"]
        assert times(prometheus, LATE) >= times(prometheus, ABSENT)
        assert prometheus.value("count(drd_recovery_point_timestamp_seconds)") == 0, "stale it is"
