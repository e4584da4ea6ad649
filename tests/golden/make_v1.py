"""Write ``tests/golden/v1`` anew: ``python -m tests.golden.make_v1`` from the top of the tree.

Done once, before the first release. From then on the folder must not change: it stands for what lies in
the buckets of users. A new format gets a folder of its own.

Ids, keys of lineages and contents come from fixed seeds; HPKE draws its own randomness, so two runs
differ in the sealed keys (and all that is signed over them), not in what they restore to.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from drd.core.seal import sha256
from drd.stores.local import LocalStore
from tests.integration.reader.history import BLOCK, TIGHT, live
from tests.integration.reader.written import Written

PLACE = Path(__file__).with_name("v1")
URL = "file:///srv/golden/v1"
KEPT = {"README.md"}
SUMS = "SHA256SUMS"


def main() -> None:
    """Make the folder as if by a host that ran for a while, lost one image and went on with another."""
    for path in PLACE.iterdir():
        if path.name not in KEPT:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    store = LocalStore(PLACE / "repository", make=True, sync=lambda _: None)
    written = Written(store, PLACE, URL, seed="golden v1", knobs=TIGHT)
    live(written)
    del written.source.images["db ü@1"]  # deleted on the cluster; its lineage stays
    written.source.images["web"].write(0, b"after the other image was deleted".ljust(BLOCK, b"."))
    written.back_up("web")
    shutil.rmtree(PLACE / "repository" / ".tmp~", ignore_errors=True)
    points = [
        {"lineage": lineage, "seq": seq, "size": size, "sha256": digest}
        for (lineage, seq), (size, digest) in written.points.items()
    ]
    text = json.dumps(points, indent=1) + "\n"
    (PLACE / "expected.json").write_text(text, encoding="utf-8")
    (PLACE / SUMS).write_text(sums(PLACE), encoding="utf-8")


def sums(folder: Path) -> str:
    """One line for each file in *folder*, as ``sha256sum`` writes them and ``sha256sum -c`` reads them."""
    files = [
        path for path in folder.rglob("*") if path.is_file() and path.name not in KEPT | {SUMS}
    ]
    names = sorted((path.relative_to(folder).as_posix(), path) for path in files)
    return "".join(f"{sha256(path.read_bytes()).hex()}  {name}\n" for name, path in names)


if __name__ == "__main__":
    main()
