"""What the mother of workers has loaded: her children load nothing again, each for itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from lab.folder import Lab
from tests.daemon.conftest import POLICY
from tests.e2e.cloud import Cloud
from tests.e2e.site import MIB, Site

WORKER = """\
import json, sys
from pathlib import Path
import drd.daemon.worker
from drd.wiring.warm import warm
warm()
before = set(sys.modules)
from drd.daemon import jobs
config = {"config": Path(sys.argv[1]).read_text(), "path": sys.argv[1]}
ears = {"report": lambda _: None, "stopping": bool, "moved": lambda *_: None}
def work(kind, **job):
    with jobs.opened(config, **ears) as house:
        return jobs.JOBS[kind](house, job, print)
for image in work("discover", source=sys.argv[2])["images"]:
    job = dict(image, source=sys.argv[2], slot="", policy="gold")
    assert [work("backup", **job)["outcome"] for _ in range(2)] == ["done", "done"]
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def loaded(site: Site, source: str) -> list[str]:
    """Modules that a look into *source*, and two points of each of its images, load."""
    command = [sys.executable, "-c", WORKER, str(site.config), source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_backups_of_files_load_nothing(site: Site) -> None:
    site.image()
    assert loaded(site, "disks") == []


def test_backups_of_images_to_a_bucket_load_nothing(tmp_path: Path, lab: Lab) -> None:
    lab.start_ceph()
    lab.start_minio()
    cloud = Cloud(tmp_path / "site", lab, patience_s=30.0, policy="gold")
    cloud.configure(extra=POLICY.format(every="1h"))
    assert cloud.run("init").code == 0
    cloud.make(8 * MIB, MIB)
    assert loaded(cloud, "vms") == []
