"""The reader, alone on a machine without drd, restores what drd wrote, or says what is wrong."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from drd.core.manifest import decode_manifest
from drd.core.tables import TableKind
from drd.core.trust import FORMAT, document_to_sign, encode_body, encode_document
from drd.testing.stores import MemoryStore
from tests.integration.reader.history import CELL
from tests.integration.reader.written import Read, Written, digest_of, run_reader

DONE, NO_POINT, DAMAGE, NO_KEY, UNREACHABLE, REFUSED = 0, 10, 11, 12, 13, 15
SYMBOLS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

Run = Callable[..., Read]


def restores_everything(
    site: Path, written: Written, *, keys: Path, place: Path, environment: Mapping[str, str]
) -> None:
    """Every full point, by lineage and number, is restored to what was in its snapshot."""
    assert len({lineage for lineage, _ in written.points}) == 3
    for (lineage, seq), expected in written.points.items():
        out = place / f"{lineage}-{seq}"
        read = run_reader(
            site,
            written.url,
            f"{lineage}@{seq}",
            out,
            *("--sheet", keys, "--endpoint", written.endpoint),
            environment=environment,
        )
        assert read.code == DONE, read.said
        assert digest_of(out) == expected, f"point {seq} of {lineage}"
        assert not out.with_name(out.name + ".partial").exists()
        out.unlink()


@pytest.mark.parametrize("kind", ["sheet", "key file"])
def test_every_point_of_a_folder(site: Path, in_folder: Written, tmp_path: Path, kind: str) -> None:
    keys = in_folder.sheet if kind == "sheet" else in_folder.key_file

    restores_everything(site, in_folder, keys=keys, place=tmp_path, environment={})


def test_every_point_of_a_real_bucket_with_the_sheet_alone(
    site: Path, in_bucket: tuple[Written, dict[str, str]], tmp_path: Path
) -> None:
    written, secrets = in_bucket
    sheet = Path(shutil.move(written.sheet, tmp_path / "sheet.txt"))
    written.key_file.unlink()

    restores_everything(site, written, keys=sheet, place=tmp_path, environment=secrets)


def test_the_history_has_what_a_reader_may_meet(in_folder: Written) -> None:
    """Partial points, raw frames, merges of two levels, shards: or the tests above prove little."""
    repository = in_folder.folder / "repository"
    lineage = in_folder.results[0].lineage.hex()
    manifests = sorted(repository.glob(f"m/*/{lineage}/*"))
    references = decode_manifest(manifests[0].read_bytes()).clear.references
    last = max(seq for one, seq in in_folder.points if one == lineage)

    assert len(manifests) == last, "no point is missing"
    assert (lineage, 1) not in in_folder.points, "no partial point was committed"
    assert {one.kind for one in references} >= set(TableKind) - {TableKind.ROLL}
    assert {one.level for one in references if one.kind is TableKind.RUN} >= {0, 2}


# ── names ───────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def run(site: Path, in_folder: Written) -> Run:
    """The reader on the repository in the folder, with its sheet."""

    def one(*arguments: object, sheet: object = in_folder.sheet, url: object = "") -> Read:
        return run_reader(site, url or in_folder.url, *arguments, "--sheet", sheet)

    return one


def test_a_name_means_the_newest_point_of_who_has_it_now(
    run: Run, in_folder: Written, tmp_path: Path
) -> None:
    (newest,) = (r for r in in_folder.results[-1:])

    read = run("sim/web", tmp_path / "out")

    assert read.code == DONE, read.said
    assert digest_of(tmp_path / "out") == in_folder.points[newest.lineage.hex(), newest.seq]
    assert (tmp_path / "out").stat().st_blocks * 512 < 2 * CELL, "holes were filled"


def test_a_name_with_an_at_sign_and_digits(run: Run, in_folder: Written, tmp_path: Path) -> None:
    mine = [one for one in in_folder.results if one.name.startswith("sim/db")]

    first = run(f"{mine[0].name}@1", tmp_path / "first")
    last = run(f"{mine[0].name}@latest", tmp_path / "last")

    assert (first.code, last.code) == (DONE, DONE), first.said + last.said
    for name, result in (("first", mine[0]), ("last", mine[-1])):
        expected = in_folder.points[result.lineage.hex(), result.seq]
        assert digest_of(tmp_path / name) == expected


def test_lists_the_newest_of_all_or_all_of_one(run: Run, in_folder: Written) -> None:
    all_images, one_image = run(), run("sim/db ü@1@latest")

    assert all_images.code == one_image.code == DONE
    lineages = {lineage for lineage, _ in in_folder.points}
    assert {line.split()[0] for line in all_images.out.splitlines()} == lineages
    assert [line.rpartition("@")[2] for line in one_image.out.splitlines()] == ["2", "1"]


@pytest.mark.parametrize("point", ["sim/web@99", "sim/web2", "0" * 32, "sim/web@1@1"])
def test_no_such_point(run: Run, tmp_path: Path, point: str) -> None:
    read = run(point, tmp_path / "out")

    assert read.code == NO_POINT
    assert list(tmp_path.iterdir()) == []


def test_a_partial_point_is_none(run: Run, in_folder: Written, tmp_path: Path) -> None:
    lineage = in_folder.results[0].lineage.hex()
    assert (lineage, 1) not in in_folder.points

    assert run(f"{lineage}@1", tmp_path / "out").code == NO_POINT


@pytest.mark.parametrize("name", ["out", "out.partial"])
def test_what_is_there_is_not_overwritten(run: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")

    assert run("sim/web", tmp_path / "out").code == REFUSED
    assert (tmp_path / name).read_text() == "mine"


def test_no_repository(run: Run, tmp_path: Path) -> None:
    assert run(url=tmp_path).code == NO_POINT


def test_a_bucket_that_cannot_be_reached_or_is_denied(
    site: Path, in_bucket: tuple[Written, dict[str, str]], in_folder: Written
) -> None:
    written, secrets = in_bucket
    where = ("--sheet", in_folder.sheet, "--endpoint", written.endpoint)
    wrong = secrets | {"AWS_SECRET_ACCESS_KEY": "wrong"}

    denied = run_reader(site, written.url, *where, environment=wrong)
    missing = run_reader(site, "s3://no-such-bucket-here", *where, environment=secrets)
    unnamed = run_reader(site, written.url, *where)

    assert (denied.code, missing.code, unnamed.code) == (UNREACHABLE, UNREACHABLE, 2)


# ── keys ────────────────────────────────────────────────────────────────────────────────────────
def test_the_sheet_of_another_repository(run: Run, tmp_path: Path) -> None:
    other = Written(MemoryStore(), tmp_path, "file:///other", seed="another")

    for keys in (other.sheet, other.key_file):
        read = run("sim/web", tmp_path / "out", sheet=keys)
        assert read.code == NO_KEY, read.said
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("number", ["41", "52", "61", "66"])
def test_a_mistyped_line_is_named(
    run: Run, in_folder: Written, tmp_path: Path, number: str
) -> None:
    lines = in_folder.sheet.read_text().splitlines()
    (at,) = (i for i, line in enumerate(lines) if line.strip().startswith(f"{number}:"))
    symbol = lines[at].rstrip()[-1]
    lines[at] = lines[at].rstrip()[:-1] + SYMBOLS[SYMBOLS.index(symbol) ^ 1]
    (tmp_path / "sheet").write_text("\n".join(lines))

    read = run(sheet=tmp_path / "sheet")

    assert read.code == NO_KEY
    assert f"line {number} " in read.said


def test_a_missing_line_is_named(run: Run, in_folder: Written, tmp_path: Path) -> None:
    lines = in_folder.sheet.read_text().splitlines()
    kept = [line for line in lines if not line.strip().startswith("63:")]
    (tmp_path / "sheet").write_text("\n".join(kept))

    read = run(sheet=tmp_path / "sheet")

    assert read.code == NO_KEY
    assert "[63]" in read.said


@pytest.mark.parametrize("with_root", [True, False])
def test_lines_typed_by_hand(
    run: Run, in_folder: Written, tmp_path: Path, *, with_root: bool
) -> None:
    """Small letters, letters taken for digits, no spaces, and only the lines that matter."""
    numbers = (
        "41",
        "61",
        "62",
        "63",
        "64",
        "65",
        "66",
        *(("71", "72") if with_root else ("51", "52")),
    )
    lines = [line.strip() for line in in_folder.sheet.read_text().splitlines()]
    typed = [
        line[:3] + line[3:].replace(" ", "").lower().replace("1", "l").replace("0", "o")
        for line in lines
        if line[:2] in numbers and line[2:3] == ":"
    ]
    assert len(typed) == len(numbers)
    (tmp_path / "sheet").write_text("DRD1 " + " ".join(typed) if with_root else "\n".join(typed))

    assert run(sheet=tmp_path / "sheet").code == DONE


@pytest.mark.parametrize("text", ["", "[open]", "\n[open]\nmetadata = 'x'", "no sheet at all"])
def test_no_keys(run: Run, tmp_path: Path, text: str) -> None:
    (tmp_path / "keys").write_text(text)

    assert run(sheet=tmp_path / "keys").code == NO_KEY
    assert run(sheet=tmp_path / "not there").code == NO_KEY


def test_slots_that_are_gone(run: Run, in_folder: Written, tmp_path: Path) -> None:
    copy = copied(in_folder, tmp_path)
    for slot in copy.glob("k/*/*/*.recovery-*"):
        slot.unlink()

    assert run(url=copy).code == NO_KEY
    assert run(url=copy, sheet=in_folder.key_file).code == DONE


# ── damage ──────────────────────────────────────────────────────────────────────────────────────
def copied(written: Written, place: Path) -> Path:
    """A copy of the repository in a folder, to be damaged."""
    return Path(shutil.copytree(written.folder / "repository", place / "copy"))


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def packs_of(copy: Path, lineage: str) -> list[Path]:
    return sorted(copy.glob(f"p/*/{lineage}/*"), key=lambda path: path.stat().st_mtime_ns)


def test_a_flipped_bit_in_a_pack(run: Run, in_folder: Written, tmp_path: Path) -> None:
    copy, out = copied(in_folder, tmp_path), tmp_path / "out"
    first = in_folder.results[0]
    expected = (in_folder.points[first.lineage.hex(), first.seq], tmp_path / "whole")
    assert run(f"{first.lineage.hex()}@{first.seq}", expected[1]).code == DONE
    pack = max(packs_of(copy, first.lineage.hex()), key=lambda path: path.stat().st_size)
    flip(pack, pack.stat().st_size // 2)

    read = run(f"{first.lineage.hex()}@{first.seq}", out, url=copy)

    assert read.code == DAMAGE
    assert pack.name in read.said
    assert "damaged: bytes " in read.said
    assert not out.exists()
    left = out.with_name("out.partial").read_bytes()
    whole = expected[1].read_bytes()
    lost = [line.split() for line in read.said.splitlines() if line.startswith("damaged: bytes")]
    assert len(left) == len(whole)
    for start, end in ((int(words[2]), int(words[4])) for words in lost):
        assert left[start:end] == bytes(end - start), "something wrong was written"
        whole = whole[:start] + bytes(end - start) + whole[end:]
    assert left == whole, "something good was not written"


def test_a_missing_pack(run: Run, in_folder: Written, tmp_path: Path) -> None:
    copy, out = copied(in_folder, tmp_path), tmp_path / "out"
    first = in_folder.results[0]
    packs = packs_of(copy, first.lineage.hex())
    packs[0].unlink()

    read = run(f"{first.lineage.hex()}@{first.seq}", out, url=copy)

    assert read.code == DAMAGE
    assert f"{packs[0].name} is not there" in read.said
    assert out.with_name("out.partial").exists()


@pytest.mark.parametrize("prefix", ["x", "k"])
def test_any_damage_elsewhere_is_never_restored_from(
    run: Run, in_folder: Written, tmp_path: Path, prefix: str
) -> None:
    """One bit in every table, or in every slot: nothing is restored, and the code says why."""
    copy, out = copied(in_folder, tmp_path), tmp_path / "out"
    for path in copy.glob(f"{prefix}/*/*/*"):
        flip(path, -1)

    read = run("sim/web", out, url=copy)

    assert read.code == {"x": DAMAGE, "k": NO_KEY}[prefix], read.said
    assert not out.exists()


def test_a_forged_or_misplaced_manifest_is_passed_over(
    run: Run, in_folder: Written, tmp_path: Path
) -> None:
    """The newest two are damaged and garbage, a copy of an old one claims to be new: the third newest
    is restored.
    """
    copy, out = copied(in_folder, tmp_path), tmp_path / "out"
    lineage = in_folder.results[0].lineage.hex()
    manifests = sorted(copy.glob(f"m/*/{lineage}/*"))
    flip(manifests[0], 200)
    manifests[1].write_bytes(b"garbage")
    shutil.copy(manifests[-2], manifests[0].with_name("0000000001"))
    shutil.copy(manifests[-2], manifests[0].with_name("00-garbage9999999997"))
    last = max(seq for one, seq in in_folder.points if one == lineage)

    read = run(lineage, out, url=copy)

    assert read.code == DONE, read.said
    assert digest_of(out) == in_folder.points[lineage, last - 2]
    assert read.said.count("ignored") == 3 * 2  # asked for twice: which lineage, which point
    listed = run(lineage, url=copy).out.splitlines()
    assert len(listed) == len(set(listed)) == last - 2 - 1  # 1 is a partial point


def test_an_object_of_another_lineage_does_not_open(
    run: Run, in_folder: Written, tmp_path: Path
) -> None:
    copy, out = copied(in_folder, tmp_path), tmp_path / "out"
    one, other = in_folder.results[0].lineage.hex(), in_folder.results[-1].lineage.hex()
    mine, strange = packs_of(copy, one)[0], packs_of(copy, other)[0]
    shutil.copy(strange, mine)

    assert run(f"{one}@{in_folder.results[0].seq}", out, url=copy).code == DAMAGE


def test_a_newer_format_is_refused(run: Run, in_folder: Written, tmp_path: Path) -> None:
    copy = copied(in_folder, tmp_path)
    identity = {"repository": in_folder.keys.repository.hex(), "root": in_folder.root_public.hex()}
    newer = encode_body({**identity, "version": 1, "required_features": ["more"]})
    signed = in_folder.sign(document_to_sign(FORMAT, newer))
    (copy / "format" / "2").write_bytes(encode_document(FORMAT, newer, *signed))

    assert run(url=copy).code == REFUSED
