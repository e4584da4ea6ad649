"""Record what ``restic forget`` decides: ``python -m tests.golden.restic.record RESTIC``.

It writes ``forget.json``. RESTIC is the program, of version 0.16 or newer (older ones do not keep the
oldest). It takes some three minutes: each backup and each question is a process, and derives a key.
``tests/unit/core/test_restic.py`` asks :mod:`drd.core.retention` the same questions.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

ANSWERS = Path(__file__).with_name("forget.json")
RULES = ("last", "hourly", "daily", "weekly", "monthly", "yearly")
QUESTIONS = 30


def histories(dice: Random) -> list[tuple[str, list[datetime]]]:
    """Zones, and instants: over days on which clocks change, over new years, dense and sparse."""
    autumn = datetime(2025, 10, 25, 20, tzinfo=UTC)
    spring = datetime(2026, 3, 28, 20, tzinfo=UTC)
    years = datetime(2021, 12, 20, tzinfo=UTC)
    return [
        ("Europe/Stockholm", [autumn + timedelta(minutes=20 * one) for one in range(36)]),
        ("Europe/Stockholm", [spring + timedelta(minutes=47 * one) for one in range(36)]),
        ("UTC", sorted(years + timedelta(hours=dice.randrange(4 * 8766)) for _ in range(40))),
        ("Asia/Kathmandu", sorted(years + timedelta(hours=dice.randrange(900)) for _ in range(36))),
    ]


class Repository:
    """A repository of restic in a folder of its own."""

    def __init__(self, restic: str, folder: Path) -> None:
        self._restic = restic
        self._folder = folder
        (folder / "file").write_text("something")
        self._run("UTC", "init")

    def _run(self, zone: str, *arguments: str) -> bytes:
        command = [self._restic, "--repo", str(self._folder / "r"), "--no-cache", *arguments]
        environment = {**os.environ, "RESTIC_PASSWORD": "none", "TZ": zone}
        return subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE).stdout

    def back_up(self, moment: datetime, zone: ZoneInfo) -> None:
        """A snapshot of that instant. restic stores the offset of its own zone: it is given one that
        has the offset of *zone* then, and no change of clocks, so that both 02:30 can be told.
        """
        local = moment.astimezone(zone)
        hours = (local.utcoffset() or timedelta()) / timedelta(hours=1)
        steady = f"Etc/GMT{-hours:+.0f}" if hours == int(hours) else zone.key
        told = f"{local:%Y-%m-%d %H:%M:%S}"
        self._run(steady, "backup", "--quiet", "--host=h", f"--time={told}", f"{self._folder}/file")

    def kept(self, counts: dict[str, int], zone: str) -> list[str]:
        """Times of the snapshots that would stay, oldest first."""
        told = {rule: "unlimited" if count < 0 else count for rule, count in counts.items()}
        options = [f"--keep-{rule}={count}" for rule, count in told.items()]
        answer = self._run(zone, "forget", "--dry-run", "--json", *options)
        (group,) = json.loads(answer)
        times = [datetime.fromisoformat(one["time"]).astimezone(UTC) for one in group["keep"]]
        return [one.isoformat() for one in sorted(times)]


def main(restic: str) -> None:
    """Record."""
    dice = Random(20261121)  # noqa: S311 - the same questions each time
    version = subprocess.run([restic, "version"], check=True, stdout=subprocess.PIPE).stdout
    recorded = []
    for zone, moments in histories(dice):
        with tempfile.TemporaryDirectory() as folder:
            repository = Repository(restic, Path(folder))
            for moment in moments:
                repository.back_up(moment, ZoneInfo(zone))
            cases = []
            for _ in range(QUESTIONS):
                rules = dice.sample(RULES, dice.randint(1, 4))
                counts = {rule: dice.choice([-1, 1, 2, 3, 5, 8, 50]) for rule in rules}
                cases.append({"keep": counts, "kept": repository.kept(counts, zone)})
            times = [moment.isoformat() for moment in moments]
            recorded.append({"zone": zone, "times": times, "cases": cases})
    answers = {"restic": version.decode().split(" compiled")[0], "histories": recorded}
    ANSWERS.write_text(json.dumps(answers, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
