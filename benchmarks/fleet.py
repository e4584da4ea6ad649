"""A host that looks after thousands of images, as its catalogue and its diary have it; no bucket."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

from drd.core import names
from drd.core.seal import sha256
from drd.model import Image, Json, Outcome, Pause, PointInfo, PointKind, Proven, RunRecord
from drd.wiring import House, open_house
from drd.wiring.clock import now
from drd.wiring.place import Place as Remembered

TENANT = b"t" * 16
RUNS_OF_ONE = 5
CONFIG = """\
state_dir = "{folder}/state"
[repository]
url = "file://{folder}/repository"
[keys]
file = "{folder}/drd.key"
[source.vms]
type = "rbd"
pool = "vms"
policy = "gold"
[policy.gold]
every = "1h"
rpo = "2h"
verify = {{ level = 2, every = "1d" }}
[policy.nightly]
cron = "15 2 * * *"
timezone = "Europe/Stockholm"
rpo = "26h"
"""


def make(folder: Path, *, lineages: int, points: int) -> Path:
    """Write what a daemon knows of so many images, an hour ago and before; return its configuration."""
    config = folder / "drd.toml"
    config.write_text(CONFIG.format(folder=folder))
    with closing(open_house(str(config))) as house:
        _catalogue(house, lineages, points)
        _diary(house, lineages)
        (file,) = (folder / "state").glob("*/catalogue.sqlite")
        Remembered(file.with_name("repository"), "").remember(b"r" * 16, TENANT)
    return config


def lineage_of(number: int) -> bytes:
    """Id of a lineage."""
    return sha256(str(number).encode())[:16]


def identity_of(number: int) -> str:
    """Identity of an image, as RBD has it."""
    return f"rbd:6b1f0cd2-3f53-4be1-8f1d-4a0c4ad0a51f/2//{number:014x}"


def label_of(number: int) -> str:
    """Its name."""
    return f"vms/volume-{number:05d}"


def point(number: int, seq: int, at: datetime) -> PointInfo:
    """One point, with facts as large as real ones."""
    lineage, identity, size = lineage_of(number), identity_of(number), 8 << 30
    facts: dict[str, Json] = {
        "block": 4096,
        "cell": 65536,
        "bytes_changed": 81920,
        "bytes_read": 1310720,
        "image": {"features": 61, "pool": "vms", "order": 22, "size": size, "metadata": {}},
        "item": 1,
        "next_item": 2,
        "next_cell": 131072,
        "root": sha256(lineage).hex(),
        "sample": {"cells": 64, "cursor": seq},
        "snapshot": {"id": str(seq), "name": f"drd.{lineage.hex()}.{seq:016x}", "size": size},
        "suspects": [],
        "tools": {"drd": "0.1.0", "python": "3.11.2"},
    }
    return PointInfo(
        tenant=TENANT,
        lineage=lineage,
        seq=seq,
        name=label_of(number),
        identity=identity,
        kind=PointKind.FULL,
        point_at=at,
        committed_at=at + timedelta(seconds=2),
        size=size,
        manifest_sha256=sha256(lineage + seq.to_bytes(4, "big")),
        manifest_key=names.manifest_key(TENANT, lineage, seq),
        predecessor_seq=seq - 1,
        facts=facts,
        committed_here=True,
    )


def _catalogue(house: House, lineages: int, points: int) -> None:
    begin = now() - timedelta(hours=points + 1)
    house.catalogue().learn(
        point(number, seq, begin + timedelta(hours=seq, seconds=number % 3600))
        for number in range(lineages)
        for seq in range(1, points + 1)
    )
    at = now() - timedelta(hours=5)
    house.catalogue().note_proven(
        TENANT, [Proven(lineage_of(number), 2, points, at, ok=True) for number in range(lineages)]
    )


def _diary(house: House, lineages: int) -> None:
    diary, at = house.diary(), now()
    seen = at - timedelta(days=9)
    diary.note_images(
        Image(identity_of(number), "vms", label_of(number), _policy(number), seen, at)
        for number in range(lineages)
    )
    for age in reversed(range(RUNS_OF_ONE)):
        for number in range(lineages):
            run = _run(number, at - timedelta(hours=age + 1))
            failed = run.outcome is Outcome.FAILED
            pause = Pause(run.subject, 2, at + timedelta(minutes=4), run.code) if failed else None
            diary.end_run(run, pause)
    diary.note_tick(at)


def _policy(number: int) -> str:
    """Most have gold; some are nightly, or have none."""
    return {7: "nightly", 8: ""}.get(number % 10, "gold")


def _run(number: int, at: datetime) -> RunRecord:
    outcome = Outcome.FAILED if number % 100 == 0 else Outcome.DONE
    return RunRecord(
        run=f"{number:08x}{int(at.timestamp()):08x}",
        kind="backup",
        subject=identity_of(number),
        label=label_of(number),
        source="vms",
        policy=_policy(number),
        started_at=at,
        slot=at,
        ended_at=at + timedelta(seconds=3),
        outcome=outcome,
        exit_code=0 if outcome is Outcome.DONE else 14,
        code="" if outcome is Outcome.DONE else "source",
        message="" if outcome is Outcome.DONE else "the cluster cannot be reached",
        seq=1,
        lineage=lineage_of(number).hex(),
        bytes_read=1310720,
        bytes_changed=81920,
        bytes_uploaded=90112,
        seconds=3.0,
    )
