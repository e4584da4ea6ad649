"""A repository whose disk is full, and a restore onto one: a real file system without room.

The mount belongs to one process and those below it, so all commands of a test run in one shell.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.e2e import drctl
from tests.e2e.drctl import Answer
from tests.e2e.site import MIB, Site, digest
from tests.unit.stores.processes import in_own_mounts


def within(folder: Path, megabytes: int, steps: dict[str, str]) -> dict[str, Answer]:
    """Run *steps* in one shell, in which *folder* is a file system of that size; their answers.

    ``drctl`` in a step is the program; other words are the shell's.
    """
    folder.mkdir(exist_ok=True)
    out = folder.parent / "answers"
    out.mkdir(exist_ok=True)
    script = [f"drctl() {{ '{drctl.PROGRAM}' \"$@\"; }}"]
    for name, step in steps.items():
        script.append(f"set +e; ({step}) >'{out}/{name}.out' 2>'{out}/{name}.err'")
        script.append(f"echo $? >'{out}/{name}.code'; set -e")
    mount = f"mount -t tmpfs -o size={megabytes}m none '{folder}'"
    command = [*in_own_mounts(mount), "sh", "-ec", "\n".join(script)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    answers = {}
    for name in steps:
        read = [(out / f"{name}.{part}").read_bytes() for part in ("code", "out", "err")]
        answers[name] = Answer(int(read[0]), read[1], read[2].decode())
        assert "Traceback" not in answers[name].err
    return answers


def test_a_full_repository_is_13_readable_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    site = Site(tmp_path / "site")
    config = site.configure(extra=f"[pack]\npack_size = {MIB}\n")
    small = site.image("a.img", size=3 * MIB, seed="a")
    large = site.image("b.img", size=36 * MIB, seed="b")
    target = tmp_path / "back"
    run = f"drctl --json --config '{config}'"
    answers = within(
        site.repository,
        6,
        {
            "init": f"{run} init",
            "first": f"{run} backup disks/a.img",
            "full": f"{run} backup disks/b.img",
            "again": f"{run} backup disks/b.img",
            "ls": f"{run} ls",
            "verify": f"{run} verify --level 2",
            "grow": f"mount -o remount,size=64m '{site.repository}'",
            "after": f"{run} backup",
            "proof": f"{run} verify --level 2 --all",
            "a": f"{run} restore disks/a.img --to file:{target}-a",
            "b": f"{run} restore disks/b.img --to file:{target}-b",
        },
    )
    codes = {name: answer.code for name, answer in answers.items()}
    assert codes == {**dict.fromkeys(answers, 0), "full": 13, "again": 13}
    for name in ("full", "again"):
        error = answers[name].error
        assert "no space left" in error["message"]
        assert str(site.repository) in error["object"]
        assert "free space" in error["hint"]
    assert [one["name"] for one in answers["ls"].reply["lineages"]] == ["disks/a.img"]
    assert len(answers["after"].points) == 2
    assert digest(Path(f"{target}-a")) == digest(small)
    assert digest(Path(f"{target}-b")) == digest(large)


def test_a_full_state_folder_is_2_for_doctor_and_backup_and_stops_no_restore(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path / "site").made()
    image = site.image()
    site.backup()
    disk = tmp_path / "disk"
    site.configure(state=str(disk / "state"))
    run = f"drctl --json --config '{site.config}'"
    answers = within(
        disk,
        1,
        {
            "fine": f"{run} doctor",
            "fill": f"head -c 2000000 /dev/zero >'{disk}/fills' || true",
            "doctor": f"{run} doctor",
            "backup": f"{run} backup",
            "restore": f"{run} restore disks/a.img --to file:{tmp_path}/out",
        },
    )
    codes = {name: answer.code for name, answer in answers.items()}
    assert codes == {"fine": 0, "fill": 0, "doctor": 2, "backup": 2, "restore": 0}
    for name in ("doctor", "backup"):
        error = answers[name].error
        assert "No space left" in error["message"]
        assert error["object"].startswith(str(disk))
        assert "state_dir" in error["hint"]
    assert digest(tmp_path / "out") == digest(image)


def test_a_restore_onto_a_full_disk_is_14_and_names_what_it_left(tmp_path: Path) -> None:
    site = Site(tmp_path / "site").made()
    site.image("a.img", size=36 * MIB)
    site.backup()
    disk = tmp_path / "disk"
    run = f"drctl --json --config '{site.config}' restore disks/a.img --to 'file:{disk}/out'"
    answers = within(disk, 6, {"full": run, "left": f"ls '{disk}'"})
    assert answers["full"].code == 14
    error = answers["full"].error
    assert "space" in error["message"]
    (left,) = answers["left"].text.split()
    assert left != "out"
    assert f"{disk}/{left}" in error["hint"]
