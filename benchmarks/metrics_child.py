"""``/metrics`` of so many lineages, in a process of its own; prints seconds, bytes and memory as JSON.

    python -m benchmarks.metrics_child LINEAGES SCRAPES

Every lineage has all that can be known of one: a verify at two levels, a run, a plan. Each scrape is of a
new tick, so that none finds its text made already; the process is the server and not its client.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from drd.daemon.seen import Seen, SourceState, VerifyGoal
from drd.daemon.serving import Metrics, MetricsServer
from drd.model import Outcome, Proven, RunRecord, Standing, State

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ASK = """\
import sys, time, urllib.request
call = urllib.request.Request(sys.argv[1], headers={"Accept-Encoding": "gzip"})
begin = time.perf_counter()
size = len(urllib.request.urlopen(call, timeout=60).read())
print(time.perf_counter() - begin, size)
"""


def standing(number: int) -> Standing:
    """One image of which everything is known."""
    name, lineage = f"vms/image-{number:06}", number.to_bytes(16, "big")
    run = RunRecord(
        run=f"{number:016x}",
        kind="backup",
        subject=name,
        label=name,
        source="vms",
        policy="gold",
        started_at=NOW,
        ended_at=NOW + timedelta(seconds=number % 97),
        outcome=Outcome.DONE,
        seconds=number % 97 + 0.25,
    )
    return Standing(
        label=name,
        source="vms",
        identity=name,
        lineage=lineage.hex(),
        policy="gold",
        state=State.OK,
        point_at=NOW - timedelta(seconds=number),
        age=float(number),
        rpo=7200,
        next_run=NOW + timedelta(seconds=number),
        points=100,
        size=number << 20,
        first_seen=NOW - timedelta(days=30),
        last_run=run,
        verified=tuple(Proven(lineage, level, 99, NOW, ok=True) for level in (1, 2)),
    )


def main(lineages: int, scrapes: int) -> None:
    """Serve, and have another process ask."""
    seen = Seen(
        at=NOW,
        tick_at=NOW,
        standings=[standing(number) for number in range(lineages)],
        sources={"vms": SourceState(reachable=True, checked_at=NOW, images=lineages)},
        goals={"gold": VerifyGoal(2, 86400)},
        tenant="ab" * 16,
    )
    metrics = Metrics(lambda: NOW)
    seconds, sizes = [], []
    with MetricsServer(metrics, "127.0.0.1:0") as server:
        command = [sys.executable, "-c", ASK, f"http://127.0.0.1:{server.port}/metrics"]
        for tick in range(scrapes):
            metrics.show(replace(seen, ticks=tick))
            said = subprocess.run(
                command, check=True, capture_output=True, text=True
            ).stdout.split()
            seconds.append(float(said[0]))
            sizes.append(int(said[1]))
        begin = time.perf_counter()
        text = metrics.text()
        again = time.perf_counter() - begin
    status = Path("/proc/self/status").read_text()
    (peak,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    row = {
        "seconds": seconds,
        "again_s": again,
        "text_bytes": len(text),
        "sent_bytes": max(sizes),
        "series": text.count(b"\n") - text.count(b"\n#") - 1,
        "peak_mib": int(peak) / 1024,
    }
    print(json.dumps(row))


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
