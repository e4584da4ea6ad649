"""A throw-away Ceph cluster: one monitor, three OSDs on sparse files, no manager.

Three OSDs, since an erasure-coded pool needs three to hold k=2, m=1 (Ceph refuses k=1). Nothing is
replicated: a lab must be quick, not safe. Up in about five seconds, because

- all keys go into the monitor's store when that is made, and so do the OSDs, by a first OSD map
  (`osdmaptool --createsimple`): no command has to wait for a running monitor;
- the OSDs are formatted while the monitor starts, with `bdev_aio_poll_ms` at 5: each close of the
  block device waits for one poll, and formatting closes it eight times (250 ms each by default);
- `paxos propose interval` is 0.05 s: by default every snapshot call costs a second.
"""

import json
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lab.failure import LabError
from lab.ports import listening
from lab.server import Server, need, wait_until

INSTALL = "apt-get install ceph-mon ceph-osd ceph-common"
OSDS = 3
OSD_BYTES = 12_000_000_000  # the most that one OSD holds; its sparse file never shrinks
OSD_MEMORY = 939_524_096  # the least that `osd memory target` takes (Ceph, global.yaml.in)
START_S = 60.0
COMMAND_S = 60.0

CONF = """\
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{port}]
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
keyring = {folder}/keyring
run dir = {folder}/run
ms bind ipv6 = false
ms bind msgr1 = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
rgw dns name = localhost

[mon]
mon data = {folder}/mon
log file = {folder}/log/$name.log
admin socket = {folder}/run/$name.asok
paxos propose interval = 0.05
paxos min wait = 0.01
mon allow pool size one = true
mon allow pool delete = true
mon warn on pool no redundancy = false
mon data avail crit = 1
mon data avail warn = 2
mon osd down out interval = 0

[osd]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
osd data = {folder}/$name
log file = {folder}/log/$name.log
admin socket = {folder}/run/$name.asok
osd objectstore = bluestore
osd crush update on start = false
osd memory target = {osd_memory}
bluestore block size = {osd_bytes}
bluestore block create = true
bdev aio poll ms = 20

[client.rgw.lab]
rgw data = {folder}/rgw
log file = {folder}/log/$name.log
admin socket = {folder}/run/$name.asok
rgw num rados handles = 1
rgw gc max objs = 8
rgw gc obj min wait = 60
rgw gc processor period = 60
rgw lc max objs = 4
rgw data log num shards = 4
rgw md log max shards = 4
rgw usage max shards = 2
rgw objexp hints num shards = 4
rgw reshard num logs = 4
"""

# Each key with its capabilities, by service.
OSD_CAPS = {"mon": "allow profile osd", "osd": "allow *"}
KEYS = {
    "mon.": {"mon": "allow *"},
    "client.admin": {"mon": "allow *", "osd": "allow *", "mds": "allow *", "mgr": "allow *"},
    "client.rgw.lab": {"mon": "allow rwx", "osd": "allow rwx"},
    **{f"osd.{n}": OSD_CAPS for n in range(OSDS)},
}

# Of `rbd`'s commands only those that show progress take --no-progress.
PROGRESS = {
    *("export", "export-diff", "import", "import-diff", "merge-diff", "remove", "rm", "resize"),
    *("copy", "cp", "deep", "flatten", "sparsify"),
}
SNAP_PROGRESS = {"create", "add", "remove", "rm", "rollback", "purge"}


class Ceph:
    """One cluster.

    Args:
        folder: the lab's folder.
        fsid: the cluster's id.
        port: the monitor's port on 127.0.0.1 (messenger v2 only).
    """

    pool = "rbd"  # replicated, size 1
    data_pool = "ecdata"  # erasure-coded k=2 m=1, with overwrites: for `--data-pool`

    def __init__(self, folder: Path, *, fsid: str, port: int) -> None:
        self.folder = folder
        self.fsid = fsid
        self.port = port
        self.conf = folder / "ceph.conf"
        self.mon = self._daemon("mon.a", "ceph-mon", "a")
        self.osds = tuple(self._daemon(f"osd.{n}", "ceph-osd", str(n)) for n in range(OSDS))

    # ── asking ──────────────────────────────────────────────────────────────────────────────────
    def command(self, *args: str) -> str:
        """Run `ceph` as client.admin and return what it prints.

        Raises:
            LabError: it failed; with its own words.
        """
        return self.run("ceph", "--connect-timeout", "15", *args).decode()

    def rbd(self, *args: str) -> str:
        """Run `rbd` as client.admin and return what it prints, without progress.

        Raises:
            LabError: it failed; with its own words.
        """
        return self.run("rbd", *quiet(args)).decode()

    def export(self, spec: str) -> bytes:
        """Return every byte of an image or a snapshot (``POOL/IMAGE[@SNAP]``)."""
        return self.run("rbd", "export", "--no-progress", spec, "-")

    def run(self, program: str, *args: str, stdin: bytes = b"") -> bytes:
        """Run one of Ceph's programs against this cluster; return its standard output.

        Raises:
            LabError: it is missing, failed, or did not end within a minute.
        """
        need(program, INSTALL)
        command = [program, "--conf", str(self.conf), *args]
        try:
            done = subprocess.run(
                command, input=stdin, capture_output=True, check=False, timeout=COMMAND_S
            )
        except subprocess.TimeoutExpired:
            raise LabError(f"no answer in {COMMAND_S:.0f} s: {' '.join(command)}") from None
        if done.returncode:
            words = done.stderr.decode(errors="replace").strip()
            raise LabError(f"{' '.join(command)}: exit {done.returncode}\n{words}")
        return done.stdout

    # ── starting ────────────────────────────────────────────────────────────────────────────────
    def start(self) -> None:
        """Start monitor and OSDs unless they run; make the cluster first when it is new.

        Raises:
            LabError: a program is missing, or the cluster does not come up.
        """
        made = self.folder / "ceph.made"
        if not made.exists():
            self._make()
        self.mon.start()
        if not made.exists():
            self._format_osds()
        self.mon.wait(lambda: listening(self.port), timeout_s=START_S)
        self.start_osds()
        if not made.exists():
            self._make_pools()
            made.touch()

    def start_osds(self) -> None:
        """Start the OSDs that do not run, and return when every one serves.

        Raises:
            LabError: one does not come up.
        """
        starting = [server for server in self.osds if server.pid() is None]
        if not starting:
            return
        before = self._osd_map()
        for server in starting:
            server.start()
        ids = {int(server.name.removeprefix("osd.")) for server in starting}

        def all_up() -> bool:
            # "up" alone may still be said of the process before: a later epoch is this one's boot.
            up = {osd["osd"] for osd in self._osd_map()["osds"] if osd["up_from"] > before["epoch"]}
            return ids <= up

        wait_until(all_up, what="OSDs", timeout_s=START_S, servers=tuple(starting))

    # ── breaking ────────────────────────────────────────────────────────────────────────────────
    def kill_osds(self) -> None:
        """Take all data away at once, as a power cut would; `start_osds` brings it back."""
        for server in self.osds:
            server.kill()

    def pause(self) -> None:
        """Freeze monitor and OSDs: clients hang, as when a network goes away."""
        for server in (self.mon, *self.osds):
            server.pause()

    def resume(self) -> None:
        """Let a frozen cluster go on."""
        for server in (self.mon, *self.osds):
            server.resume()

    # ── making ──────────────────────────────────────────────────────────────────────────────────
    def _daemon(self, name: str, program: str, ident: str) -> Server:
        command = (program, "--conf", str(self.conf), "--id", ident, "--foreground")
        return Server(name, self.folder, command, INSTALL)

    def _make(self) -> None:
        """Write configuration and keys, and make the monitor's store with the first OSD map."""
        for program in ("ceph-mon", "ceph-osd", "ceph", "rbd"):
            need(program, INSTALL)
        for name in ("mon", *(server.name for server in self.osds)):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        for name in ("mon", "run", "log", "rgw", *(server.name for server in self.osds)):
            (self.folder / name).mkdir(exist_ok=True)
        limits = {"osd_memory": OSD_MEMORY, "osd_bytes": OSD_BYTES}
        conf = CONF.format(folder=self.folder, fsid=self.fsid, port=self.port, **limits)
        self.conf.write_text(conf, encoding="utf-8")

        keyring, monmap, osdmap = (str(self.folder / n) for n in ("keyring", "monmap", "osdmap"))
        Path(keyring).unlink(missing_ok=True)
        self.run("ceph-authtool", "--create-keyring", keyring)
        for name, capabilities in KEYS.items():
            caps = [word for pair in capabilities.items() for word in ("--cap", *pair)]
            self.run("ceph-authtool", keyring, "--gen-key", "--name", name, *caps)
        address = f"[v2:127.0.0.1:{self.port}]"
        new = ("--create", "--clobber", "--fsid", self.fsid)
        self.run("monmaptool", *new, "--addv", "a", address, monmap)
        self.run("osdmaptool", "--createsimple", str(OSDS), "--clobber", osdmap)
        make = ("--mkfs", "--id", "a", "--monmap", monmap, "--osdmap", osdmap)
        self.run("ceph-mon", *make, "--keyring", keyring)

    def _format_osds(self) -> None:
        """Make the three OSDs' stores at once; the monitor need not answer yet."""

        def make(server: Server) -> None:
            ident = server.name.removeprefix("osd.")
            how = ("--mkfs", "--no-mon-config", "--bdev-aio-poll-ms", "5")
            self.run("ceph-osd", "--id", ident, *how)

        with ThreadPoolExecutor(OSDS) as pool:
            list(pool.map(make, self.osds))

    def _make_pools(self) -> None:
        pgs = ("8", "8")
        self.command("osd", "pool", "create", self.pool, *pgs, "replicated")
        profile = ("k=2", "m=1", "crush-failure-domain=osd")
        self.command("osd", "erasure-code-profile", "set", "lab", *profile)
        self.command("osd", "pool", "create", self.data_pool, *pgs, "erasure", "lab")
        self.command("osd", "pool", "set", self.data_pool, "allow_ec_overwrites", "true")
        for pool in (self.pool, self.data_pool):
            self.command("osd", "pool", "application", "enable", pool, "rbd")
        self.rbd("pool", "init", self.pool)

    def _osd_map(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.command("osd", "dump", "--format", "json"))
        return found


def quiet(args: Sequence[str]) -> list[str]:
    """Add ``--no-progress`` to those of rbd's commands that know it; others refuse it."""
    shows = args[0] in PROGRESS or (args[0] == "snap" and args[1] in SNAP_PROGRESS)
    return [*args, "--no-progress"] if shows and "--no-progress" not in args else list(args)
