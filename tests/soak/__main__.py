"""A soak: two daemons protect images that are written to, while things break; every point is compared.

``make soak MINUTES=20``. A lab of its own (Ceph, MinIO), two daemons with one configuration and
leases on RADOS, points each few seconds, prunes, restores; daemons and workers are killed, servers
stopped for seconds. Ends with 0 when each point that was ever restored held exactly what its image
held between two writes, every image is back within its RPO by itself, and every point that is left
at the end restores.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from lab.folder import Lab
from tests.daemon.service import Service
from tests.soak.model import MIB, Model

IMAGES: Final = 4
SIZE: Final = 8 * MIB
RPO_S: Final = 60
CONFIG: Final = """
state_dir = "{state}"
[repository]
url = "s3://{bucket}/soak"
[repository.s3]
endpoint = "{endpoint}"
access_key_file = "{lab}/s3.access"
secret_key_file = "{lab}/s3.secret"
patience_s = 5.0
[keys]
file = "{folder}/drd.key"
[source.vms]
type = "rbd"
pool = "{pool}"
ceph_conf = "{lab}/ceph.conf"
keyring = "{lab}/keyring"
images = ["soak-*"]
op_timeout_s = 5.0
policy = "soak"
[policy.soak]
every = "4s"
rpo = "{rpo}s"
keep = {{ last = 6, hourly = 2 }}
min_points = 2
[prune]
every = "7s"
grace = "5s"
[daemon]
metrics = ""
lease = "rados"
lease_ttl = "6s"
tick = "1s"
discover_every = "5s"
learn_every = "20s"
stall_after = "40s"
backoff = "1s"
backoff_max = "5s"
drain = "5s"
[pack]
pack_size = 1048576
"""


class Soak:
    """Everything that runs, and what was seen."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.draw = random.Random(seed)  # noqa: S311 - a soak that can be drawn again
        self.lab = Lab(folder / "lab")
        self.models: dict[str, Model] = {}
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.over = threading.Event()
        self.nodes: list[Service] = []

    # ── setting up ────────────────────────────────────────────────────────────────────────────
    def set_up(self) -> None:
        """Servers, images, repository, daemons."""
        import rados  # noqa: PLC0415 - the host's
        import rbd  # noqa: PLC0415

        self.lab.up(rgw=False)
        bucket = self.lab.minio.fresh_bucket(versioned=True)
        for node in ("a", "b"):
            text = CONFIG.format(
                state=self.folder / f"state-{node}",
                bucket=bucket,
                endpoint=self.lab.minio.endpoint,
                lab=self.lab.folder,
                folder=self.folder,
                pool=self.lab.ceph.pool,
                rpo=RPO_S,
            )
            (self.folder / f"{node}.toml").write_text(text)
        cluster = rados.Rados(conffile=str(self.lab.ceph.conf))
        # Else librbd leaves out what fills less than 64 KiB (Ceph: src/common/options/rbd.yaml.in).
        cluster.conf_set("rbd_skip_partial_discard", "false")
        cluster.conf_set("rbd_discard_granularity_bytes", "4096")
        cluster.connect()
        ioctx = cluster.open_ioctx(self.lab.ceph.pool)
        for number in range(IMAGES):
            name = f"soak-{number}"
            self.models[f"vms/{name}"] = Model(rbd, ioctx, name, size=SIZE, seed=number)
        answer = self.drctl("init")
        if answer["exit"]:
            raise SystemExit(f"init failed: {answer}")
        for node in ("a", "b"):
            log = self.folder / f"{node}.log"
            self.nodes.append(Service(self.folder / f"{node}.toml", log).start())

    def drctl(self, *arguments: str, node: str = "a") -> dict[str, Any]:
        """One command; its JSON object."""
        command = [sys.executable, "-m", "drd.cli.main", "--config"]
        command += [str(self.folder / f"{node}.toml"), *arguments, "--json"]
        done = subprocess.run(command, capture_output=True, check=False)
        try:
            reply: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            reply = {"exit": done.returncode, "errors": [{"message": done.stderr.decode()}]}
        return reply

    # ── what goes on ──────────────────────────────────────────────────────────────────────────
    def write(self) -> None:
        """Change an image."""
        model = self.draw.choice(list(self.models.values()))
        try:
            model.step()
        except Exception as error:  # noqa: BLE001 - a cluster that is stopped: the guest waits, too
            self.counts[f"writes that failed: {type(error).__name__}"] += 1
        self.over.wait(self.draw.uniform(0.02, 0.3))

    def restore(self) -> None:
        """Restore a point, and compare it."""
        name = self.draw.choice(list(self.models))
        points = self.drctl("ls", name, node=self.draw.choice("ab")).get("points") or []
        if points:
            self.compare(name, self.draw.choice(points)["seq"])
        self.over.wait(self.draw.uniform(0.5, 4.0))

    def compare(self, name: str, seq: int, *, must: bool = False) -> None:
        """Restore ``name@seq``: it must hold what the image held between two writes.

        One that was pruned meanwhile, or a server that is stopped just now, is no fault unless *must*.
        """
        out = self.folder / f"restored-{threading.get_ident()}"
        out.unlink(missing_ok=True)
        answer = self.drctl("restore", f"{name}@{seq}", "--to", f"file:{out}")
        if answer["exit"] == 0:
            digest = hashlib.sha256(out.read_bytes()).hexdigest()
            same = digest in self.models[name].digests
            self.counts["restores compared"] += 1
            if not same:
                self.wrong.append(f"{name}@{seq} restores to what the image never held")
        elif answer["exit"] == 11 or must:
            self.wrong.append(f"{name}@{seq} does not restore: {answer['errors']}")
        else:
            self.counts["restores of what was pruned or away"] += 1
        out.unlink(missing_ok=True)

    def break_something(self) -> None:
        """One fault, and some time after it."""
        self.over.wait(self.draw.uniform(3, 12))
        if self.over.is_set():
            return
        faults: dict[str, Callable[[], None]] = {
            "daemon killed": self._kill_daemon,
            "worker killed": self._kill_worker,
            "MinIO stopped for seconds": self._stop_minio,
            "Ceph stopped for seconds": self._stop_ceph,
            "daemon restarted": self._restart_daemon,
        }
        name = self.draw.choice(list(faults))
        faults[name]()
        self.counts[name] += 1

    def _node(self) -> Service:
        return self.draw.choice(self.nodes)

    def _kill_daemon(self) -> None:
        node = self._node()
        node.kill()
        self.over.wait(self.draw.uniform(0.0, 8.0))
        node.start()

    def _restart_daemon(self) -> None:
        node = self._node()
        node.stop()
        node.start()

    def _kill_worker(self) -> None:
        below = self._node().children()
        if below:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(self.draw.choice(below), signal.SIGKILL)

    def _stop_minio(self) -> None:
        self.lab.minio.server.pause()
        self.over.wait(self.draw.uniform(1.0, 9.0))
        self.lab.minio.server.resume()

    def _stop_ceph(self) -> None:
        self.lab.ceph.pause()
        self.over.wait(self.draw.uniform(1.0, 9.0))
        self.lab.ceph.resume()

    # ── the end ───────────────────────────────────────────────────────────────────────────────
    def settle(self) -> None:
        """Nothing breaks any more: each image must be back within its RPO by itself."""
        give_up, rows = time.monotonic() + RPO_S, list[dict[str, Any]]()
        began = datetime.now(UTC).timestamp()  # noqa: TID251 - what goes on is real
        while time.monotonic() < give_up:
            rows = self.drctl("status").get("lineages") or []
            fresh = [one for one in rows if one["point"] and _seconds(one["point"]) > began]
            if len(fresh) == len(self.models):
                break
            time.sleep(1.0)  # noqa: TID251 - there is nothing to be woken by
        else:
            self.wrong.append(f"not every image got a new point within {RPO_S} s: {rows}")
        for node in self.nodes:
            if node.stop():
                self.wrong.append(f"a daemon ended with {node.process.returncode}")

    def compare_everything(self) -> None:
        """Every point that is left restores, and all of it is whole."""
        for name in self.models:
            for point in self.drctl("ls", name).get("points") or []:
                if point["doomed"]:
                    continue
                self.compare(name, point["seq"], must=True)
                self.counts["points left at the end"] += 1
        verified = self.drctl("verify", "--all", "--level", "2")
        if verified["exit"]:
            self.wrong.append(f"verify: {verified['errors']}")
        for node in self.nodes:
            for event in ("run_done", "run_elsewhere", "run_failed", "run_crashed", "run_stalled"):
                self.counts[event] += len(node.said(event))
            text = node.log.read_text()
            if "Traceback" in text or "a bug in drd" in text:
                self.wrong.append(f"a bug is told in {node.log}")


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=os.getpid())
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="drdsoak-", dir="/var/tmp"))
    soak = Soak(folder, asked.seed)
    print(f"soak of {asked.minutes:g} minutes with seed {asked.seed} in {folder}", flush=True)
    try:
        soak.set_up()
        threads = [
            threading.Thread(target=_again, args=(soak, one), daemon=True)
            for one in (soak.write, soak.restore, soak.break_something)
        ]
        for thread in threads:
            thread.start()
        soak.over.wait(asked.minutes * 60)
        soak.over.set()
        for thread in threads:
            thread.join()
        soak.lab.ceph.resume()
        soak.lab.minio.server.resume()
        soak.settle()
        soak.compare_everything()
    finally:
        for node in soak.nodes:
            if node.process.poll() is None:
                node.kill()
        soak.lab.down()
    for model in soak.models.values():
        soak.counts.update(model.done)
    for what, count in sorted(soak.counts.items()):
        print(f"{count:7}  {what}")
    for one in soak.wrong:
        print(f"WRONG: {one}")
    print(f"{'failed' if soak.wrong else 'passed'}: {len(soak.wrong)} wrong")
    return 1 if soak.wrong else 0


def _again(soak: Soak, act: Callable[[], None]) -> None:
    while not soak.over.is_set():
        try:
            act()
        except Exception as error:  # noqa: BLE001 - told, and the soak goes on
            soak.wrong.append(f"{act.__name__}: {type(error).__name__}: {error}")
            return


if __name__ == "__main__":
    sys.exit(main())
