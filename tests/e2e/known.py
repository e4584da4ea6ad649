"""What a daemon leaves behind on a host, written down as it does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from drd.model import Image, Outcome, Pause, RunRecord
from drd.wiring import House, open_house
from drd.wiring.clock import now
from tests.e2e.site import Site

HOUR = timedelta(hours=1)
POLICIES = """
[policy.gold]
every = "1h"
rpo = "2h"
verify = { level = 2, every = "1d" }
[policy.plain]
every = "1h"
rpo = "2h"
[daemon]
metrics = ""
tick = "1s"
discover_every = "1s"
"""


def watched(folder: Path) -> Site:
    """A place whose images have a policy."""
    made = Site(folder / "site").made()
    made.sources += 'policy = "plain"\n'
    made.configure(extra=POLICIES)
    return made


@contextmanager
def house_of(site: Site) -> Iterator[House]:
    house = open_house(str(site.config))
    try:
        yield house
    finally:
        house.close()


def image_of(site: Site, name: str, **more: object) -> Image:
    """As a daemon notes it that looks now."""
    at, label = now(), f"disks/{name}.img"
    base = Image(f"device:{site.images}/{name}.img", "disks", label, "plain", at, at)
    return replace(base, **more)  # type: ignore[arg-type] # a test's shorthand


def note(site: Site, *images: Image, ticked: datetime | None = None) -> None:
    """What a daemon leaves behind that looked at *images*."""
    with house_of(site) as house:
        house.diary().note_images(images)
        house.diary().note_tick(ticked or now())


def backed_up(site: Site, *names: str) -> None:
    for name in names:
        site.image(f"{name}.img")
    site.backup()
    note(site, *(image_of(site, name) for name in names))


def failed(image: Image, message: str = "no route to host", **more: object) -> RunRecord:
    at = now()
    base = RunRecord("ab" * 8, "backup", image.identity, image.label, "disks", "plain", at)
    ended = replace(base, ended_at=at, outcome=Outcome.FAILED, exit_code=13, code="store")
    return replace(ended, message=message, **more)  # type: ignore[arg-type] # as above


def note_failure(site: Site, run: RunRecord, failures: int = 2) -> None:
    with house_of(site) as house:
        house.diary().end_run(run, Pause(run.subject, failures, now() + HOUR, run.code))
