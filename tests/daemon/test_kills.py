"""Processes that are killed, whatever they are at: a daemon in each of its states, a repair, and commands
beside one another and beside a daemon.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import Final

from tests.daemon.conftest import POLICY
from tests.daemon.service import Service, running, until
from tests.e2e import drctl
from tests.e2e.site import MIB, Site, digest, scatter

EVERYTHING: Final = POLICY.format(every="1s").replace(
    "[daemon]",
    'keep = { last = 3 }\nverify = { level = 2, every = "1s", coverage = "2s" }\n'
    '[prune]\nevery = "1s"\ngrace = "1s"\n[daemon]',
)


def ordered(number: signal.Signals, told: str) -> Callable[[Service], object]:
    """A signal, and the daemon says that it has begun to obey."""

    def order(drd: Service) -> None:
        drd.wait_for("run_started", kind="backup")
        drd.signal(number)
        until(lambda: drd.said(told), told)

    return order


STATES: Final[dict[str, Callable[[Service], object]]] = {
    "starts": lambda _: Event().wait(0.15),
    "looks around": lambda drd: drd.wait_for("daemon_started"),
    "found an image": lambda drd: drd.wait_for("image_found"),
    "makes a first point": lambda drd: drd.wait_for("run_started", kind="backup"),
    "proves": lambda drd: drd.wait_for("run_started", kind="verify"),
    "deletes": lambda drd: drd.wait_for("run_started", kind="prune"),
    "reloads": ordered(signal.SIGHUP, "config_reloaded"),
    "stops": ordered(signal.SIGTERM, "daemon_stopping"),
}


def holds(site: Site, path: Path) -> None:
    """The newest point is what the file is, and all others hold."""
    out = site.folder / "restored"
    out.unlink(missing_ok=True)
    answer = site.run("restore", f"disks/{path.name}", "--to", f"file:{out}")
    assert answer.code == 0, answer.text
    assert digest(out) == digest(path)
    assert site.run("verify", "--all", "--level", "2").code == 0


def test_a_daemon_killed_in_each_of_its_states(site: Site, tmp_path: Path) -> None:
    site.configure(extra=EVERYTHING)
    path = site.image("a.img")
    for state, comes in STATES.items():
        if state == "found an image":
            site.image("b.img")
        with running(site.config, tmp_path / state) as drd:
            comes(drd)
            drd.kill()
        scatter(path, 2)
    with running(site.config, tmp_path / "log") as drd:
        drd.wait_for("run_done", 2, kind="backup", image="disks/a.img")
        drd.wait_for("run_done", kind="verify")
        drd.wait_for("run_done", kind="prune")
        until(lambda: site.run("status", "--check").code == 0, "OK")
        assert drd.stop() == 0
        assert not [one for one in drd.said() if one["level"] == "error"]
    holds(site, path)


def test_a_repair_killed_at_any_moment_is_begun_again(site: Site, tmp_path: Path) -> None:
    del tmp_path
    site.configure(extra=f"{POLICY.format(every='1h')}[pack]\npack_size = {MIB}\n")
    path = site.image("a.img")
    path.write_bytes(random.Random(5).randbytes(24 * MIB))  # noqa: S311
    site.backup()
    packs = [one for one in (site.repository / "p").rglob("*") if one.is_file()]
    good = {pack: pack.read_bytes() for pack in packs}
    assert len(good) > 4, "there is something to be killed in"
    for place, pack in enumerate(packs):
        if place % 3 == 0:
            pack.unlink()
        else:
            pack.write_bytes(good[pack][:-1] + b"?")
    draw, killed = random.Random(6), 0  # noqa: S311
    repair = ("--config", str(site.config), "verify", "--all", "--repair", "--level", "2", "--json")

    def mended() -> int:
        return sum(pack.exists() and pack.read_bytes() == good[pack] for pack in packs)

    def once() -> bool:
        """A repair that is killed soon after it put a pack again; whether it was still at it."""
        begun, before = drctl.started(repair), mended()
        until(lambda: begun.poll() is not None or mended() > before, "it puts a pack again")
        Event().wait(draw.uniform(0.0, 0.05))
        alive = begun.poll() is None
        begun.kill()
        begun.communicate()
        return alive

    while mended() < len(packs) - 2:
        killed += once()
    assert killed
    assert drctl.process(*repair).code == 0
    assert {pack: pack.read_bytes() for pack in packs} == good
    holds(site, path)


def test_prunes_rebuilds_and_backups_beside_one_another_and_a_daemon(
    site: Site, tmp_path: Path
) -> None:
    site.configure(
        extra=EVERYTHING.replace('verify = { level = 2, every = "1s", coverage = "2s" }', "")
    )
    path, wrong = site.image("a.img"), list[str]()

    def again_and_again(*arguments: str) -> None:
        for _ in range(4):
            answer = site.process(*arguments)
            if answer.code not in (0, 15):  # 15: somebody else is at this lineage just now
                wrong.append(answer.text)

    verbs = (("prune",), ("catalogue", "rebuild"), ("backup", "disks/a.img"))
    with running(site.config, tmp_path / "log") as drd:
        drd.wait_for("run_done", 3, kind="backup")
        threads = [Thread(target=again_and_again, args=verb) for verb in verbs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
        made = len(drd.said("run_done"))
        until(lambda: len(drd.said("run_done")) > made + 4, "it goes on")
        assert drd.stop() == 0
        assert not [one for one in drd.said() if one["level"] == "error"]
    (row,) = site.run("ls").reply["lineages"]
    assert row["points"] < row["seq"], "some were deleted"
    assert site.run("backup").code == 0
    holds(site, path)
