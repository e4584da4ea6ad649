"""What the daemon does besides backups, as a process."""

from __future__ import annotations

from pathlib import Path

from tests.daemon.conftest import POLICY
from tests.daemon.service import running, until
from tests.e2e.site import Site, scatter


def test_what_no_rule_keeps_is_doomed_and_deleted_by_itself(site: Site, tmp_path: Path) -> None:
    path = site.image("a.img")
    keep = 'keep = { last = 2 }\n[prune]\nevery = "1s"\ngrace = "1s"\n[daemon]'
    site.configure(extra=POLICY.format(every="1s").replace("[daemon]", keep))
    with running(site.config, tmp_path / "log") as drd:
        for count in range(2, 12):
            scatter(path, 2)
            drd.wait_for("run_done", count, kind="backup")

        def few() -> bool:
            (row,) = site.run("ls").reply["lineages"]
            return bool(row["points"] <= 6 < row["seq"])

        until(few, "old points go")
        drd.wait_for("run_done", kind="prune")
        assert drd.stop() == 0
        assert not drd.said("run_failed")
    out = tmp_path / "again.img"
    assert site.run("restore", "disks/a.img", "--to", f"file:{out}").code == 0
    assert site.run("verify", "--all", "--level", "2").code == 0
