"""A store that is away for many intervals, an empty one in its place, and the same one again."""

from __future__ import annotations

import re
from pathlib import Path

from lab.folder import Lab
from lab.minio import Minio
from tests.daemon.conftest import POLICY
from tests.daemon.service import running, until
from tests.e2e.site import Bucket, Site, digest, scatter

MANY = 6
"""Failed runs in a row: each after a pause as long as the interval, as in an hour of minutes."""
UNBOUND = POLICY.replace('rpo = "1h"', 'rpo = "4s"').replace(
    "backoff =", 'backoff_max = "1s"\nbackoff ='
)


def test_a_bucket_that_is_taken_away_for_long_and_given_back(
    minio: Minio, lab: Lab, tmp_path: Path
) -> None:
    bucket = Bucket.fresh(minio)
    site = Site(tmp_path / "site", bucket)
    site.s3_extra = "patience_s = 1.0\n"
    site.sources += 'policy = "gold"\n'
    site.configure(extra=UNBOUND.format(every="1s"))
    assert site.run("init").code == 0
    path = site.image("a.img")
    places = [lab.folder / "minio" / part / bucket.name for part in (".", ".minio.sys/buckets")]
    aside = [place.with_name(f"{bucket.name}-aside") for place in places]

    def failures() -> list[str]:
        """Of backups, but for the first: that one may have been under way, and met something in between."""
        failed = [one for one in drd.said("run_failed") if one["kind"] == "backup"]
        return [f"{one['code']}: {one['message']}" for one in failed[1:]]

    with running(site.config, tmp_path / "log") as drd:
        drd.wait_for("run_done", 2, kind="backup")
        for place, elsewhere in zip(places, aside, strict=True):
            place.rename(elsewhere)
        scatter(path, 3)
        until(lambda: len(failures()) >= MANY, "it fails again and again")
        assert all(re.search("bucket does not exist|was here", one) for one in failures()), (
            failures()
        )
        until(lambda: site.run("status", "--check").code == 2, "critical: the RPO is over")

        minio.s3.make_bucket(bucket.name, versioned=True, lock=False)
        before = len(failures())
        until(lambda: len(failures()) >= before + 3, "an empty bucket is no repository")
        assert "bucket does not exist" not in failures()[-1]
        assert not list(places[0].iterdir()), "nothing is begun anew in it"
        assert site.run("status", "--check").code == 2

        assert minio.s3.request("DELETE", f"/{bucket.name}").status == 204
        for place, elsewhere in zip(places, aside, strict=True):
            elsewhere.rename(place)
        points = len(drd.said("run_done"))
        until(lambda: len(drd.said("run_done")) > points + 1, "points by themselves")
        until(lambda: site.run("status", "--check").code == 0, "OK")
        assert drd.stop() == 0
    out = tmp_path / "restored"
    assert site.run("restore", "disks/a.img", "--to", f"file:{out}").code == 0
    assert digest(out) == digest(path)
    assert site.run("verify", "--all", "--level", "2").code == 0
