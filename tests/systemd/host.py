"""A storage node as docs/install.md makes it, in a booted machine."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from lab.machine import Machine

UNIT = "drd.service"
CREDENTIALS = "/etc/drd/credentials"
# No metrics: machines share the ports of this one.
CONFIG = """\
state_dir = "/var/lib/drd"
[repository]
url = "file:///srv/drd"
[keys]
file = "/etc/drd/credentials/repository.key"
file_credential = "drd_repository.key"
[source.disks]
type = "device"
paths = ["/srv/images/*.img"]
policy = "often"
[policy.often]
every = "1h"
rpo = "2h"
[daemon]
metrics = ""
"""
# Times for a test; and a repository in a folder needs what the page says.
DROP_IN = """\
[Service]
ReadWritePaths=/srv/drd
WatchdogSec=6s
TimeoutAbortSec=1s
RestartSec=100ms
"""


@dataclass(frozen=True)
class Host:
    """drd on a machine."""

    machine: Machine

    def configure(self, more: str = "") -> None:
        """Configuration, an image, repository and keys, as the page tells an operator to make them."""
        run, write = self.machine.run, self.machine.write
        write("/etc/drd/drd.toml", CONFIG + more)
        write("/etc/systemd/system/drd.service.d/site.conf", DROP_IN)
        run("install", "-d", "/srv/images")
        run("sh", "-c", "head -c 3000000 /dev/urandom >/srv/images/vm.img")
        run("drctl", "init", "--sheet", "/root/sheet.txt")
        run("chown", "-R", "drd:", "/srv/drd", "/var/lib/drd")
        run("systemctl", "daemon-reload")

    def start(self) -> None:
        """Start the unit; returns when the daemon said READY, or it did not."""
        self.machine.run("systemctl", "start", UNIT)

    def show(self, name: str) -> str:
        """A property of the unit."""
        return self.machine.run("systemctl", "show", "--value", f"--property={name}", UNIT).strip()

    def until(self, name: str, wanted: str) -> None:
        """Wait until a property of the unit holds *wanted*."""
        self.machine.until(lambda: wanted in self.show(name), f"{name} with {wanted!r}")

    def drctl(self, *words: str) -> dict[str, Any]:
        """``drctl`` with the unit's user and credentials, as the page tells a person to run it."""
        who = ("--property=User=drd", f"--property=LoadCredential=drd:{CREDENTIALS}")
        command = ("systemd-run", "--quiet", "--pipe", "--wait", "--collect", *who)
        said = self.machine.run(*command, "drctl", *words, "--json")
        reply: dict[str, Any] = json.loads(said)
        return reply

    def images(self) -> set[str]:
        """Names of images that have a point."""
        return {lineage["name"] for lineage in self.drctl("ls")["lineages"]}

    def points(self, name: str) -> set[int]:
        """Numbers of the points of an image."""
        return {point["seq"] for point in self.drctl("ls", name)["points"]}

    def events(self) -> list[str]:
        """Names of what the daemon logged, oldest first."""
        said = self.machine.run("journalctl", "--unit", UNIT, "--output=cat", "--no-pager")
        lines = (line for line in said.splitlines() if line.startswith("{"))
        return [json.loads(line)["event"] for line in lines]

    def processes(self) -> dict[int, str]:
        """Process ids of the unit's user, and what each is."""
        said = self.machine.run("ps", "-u", "drd", "-o", "pid=,args=", ok=False)
        rows = (line.split(None, 1) for line in said.splitlines())
        return {int(pid): arguments for pid, arguments in rows}

    def proc(self, pid: int, name: str) -> str:
        """A file of a process below /proc."""
        return self.machine.run("cat", f"/proc/{pid}/{name}").strip()
