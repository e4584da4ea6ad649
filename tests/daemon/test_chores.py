"""What the daemon does besides backups, as a process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.daemon.conftest import POLICY
from tests.daemon.service import running, until
from tests.e2e.site import Site, scatter

PROVEN = "drd_verify_last_success_timestamp_seconds"


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
    prunes = [
        one for one in site.run("logs", "disks/a.img").reply["runs"] if one["kind"] == "prune"
    ]
    (row,) = site.run("ls").reply["lineages"]
    assert 0 < sum(one["deleted"] for one in prunes) <= row["seq"] - row["points"]
    assert all(one["doomed"] or one["deleted"] for one in prunes), "none that did nothing"
    assert {one["outcome"] for one in prunes} == {"done"}
    out = tmp_path / "again.img"
    assert site.run("restore", "disks/a.img", "--to", f"file:{out}").code == 0
    assert site.run("verify", "--all", "--level", "2").code == 0


def flip(path: Path) -> None:
    """One bit of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x04
    path.write_bytes(data)


def metric(site: Site, name: str) -> list[float]:
    """Values of a metric in the file that the daemon writes."""
    file = site.folder / "drd.prom"
    lines = file.read_text().splitlines() if file.exists() else []
    return [float(line.rpartition(" ")[2]) for line in lines if line.startswith(name + "{")]


def shown(site: Site) -> dict[str, Any]:
    """The worst line of ``drctl status``."""
    return dict(site.run("status").reply["lineages"][0])


def proving(site: Site, more: str = "") -> None:
    """Verify each second, all of it within two."""
    plan = 'verify = { level = 2, every = "1s", coverage = "2s" }\n[daemon]\n' + more
    text = POLICY.format(every="1h").replace("[daemon]", plan)
    site.configure(extra=text + f'textfile = "{site.folder}/drd.prom"\n')


def test_what_a_policy_wants_proven_is_proven_and_damage_is_seen_and_seen_to_be_gone(
    site: Site, tmp_path: Path
) -> None:
    site.image("a.img")
    site.image("b.img", seed=1)
    proving(site)
    with running(site.config, tmp_path / "log") as drd:
        (first, *_) = drd.wait_for("run_done", 2, kind="backup")
        until(lambda: len(metric(site, PROVEN)) == 2, "a verify found nothing")
        assert metric(site, "drd_verify_findings") == [0.0, 0.0]
        (pack,) = (site.repository / "p").glob(f"*/{first['lineage']}/*")
        good = pack.read_bytes()
        flip(pack)
        (failed, *_) = drd.wait_for("run_failed", kind="verify")
        assert (failed["code"], f"{first['image']}@1" in failed["message"]) == ("damage", True)
        assert pack.name in failed["message"]
        until(lambda: shown(site)["state"] == "damaged", "status says so")
        until(lambda: sum(metric(site, "drd_verify_findings")) == 1.0, "the alert's metric")
        assert len(metric(site, PROVEN)) == 1, "of the other image: it is looked at all the same"
        pack.write_bytes(good)
        until(lambda: len(metric(site, PROVEN)) == 2, "a verify found nothing")
        assert drd.stop() == 0
    runs = site.run("logs", first["image"]).reply["runs"]
    proved = [one for one in runs if one["kind"] == "verify"]
    assert {one["level"] for one in proved} == {2}
    assert {(one["outcome"], one["findings"]) for one in proved} == {("done", 0), ("failed", 1)}
    assert failed["hint"] in {one["hint"] for one in proved if one["findings"]}


def test_a_daemon_that_is_told_not_to_proves_nothing(site: Site, tmp_path: Path) -> None:
    site.image("a.img")
    proving(site, "verify = false\n")
    with running(site.config, tmp_path / "log") as drd:
        drd.wait_for("run_done", kind="backup")
        until(lambda: metric(site, "drd_recovery_points"), "a view")
        assert drd.stop() == 0
        assert not drd.said("run_started") or all(
            one["kind"] != "verify" for one in drd.said("run_started")
        )
