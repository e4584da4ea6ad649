"""The second site: a repository that drd's own code wrote, and drd-check let loose on it."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from check import drd_check
from drd.core.trust import TRUST, decode_document, document_to_sign, encode_body, encode_document
from drd.ports import Store
from drd.stores.local import LocalStore
from drd.testing.fakes import SteppingClock, seeded
from drd.testing.repository import SMALL
from drd.wiring import clock
from drd.work.backup import backup
from tests.integration.reader.written import Written

OK, WARNING, CRITICAL, UNKNOWN = range(4)
RPO = timedelta(hours=2)
LAST_SEQ = 9_999_999_999
CELL = 64 * 1024


@dataclass(frozen=True)
class Said:
    """What a run of drd-check said: exit code, standard output."""

    code: int
    out: str

    @property
    def reply(self) -> dict[str, Any]:
        """The object of ``--json``."""
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def findings(self) -> dict[str, str]:
        """The finding of each lineage."""
        return {one["lineage"]: one["finding"] for one in self.reply["lineages"]}

    @property
    def words(self) -> str:
        """All that is said of lineages and of the whole."""
        told = [*self.reply["problems"], *self.reply["lineages"]]
        return json.dumps([one.get("message") or one.get("words") for one in told])


def look(*arguments: object) -> Said:
    """Run drd-check in this process."""
    out = io.StringIO()
    with redirect_stdout(out):
        try:
            code = drd_check.main([str(part) for part in arguments])
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Said(code, out.getvalue())


class Second:
    """A repository in a folder (or *store*), whose newest points are half an hour old, and its checker."""

    def __init__(
        self,
        folder: Path,
        *,
        at: datetime | None = None,
        seed: object = 0,
        store: Store | None = None,
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.repository = folder / "repository"
        begin = at or clock.now() - timedelta(minutes=30)
        self.clock = SteppingClock(begin)
        self.written = Written(
            store or LocalStore(self.repository, make=True),
            folder,
            self.repository.as_uri(),
            seed=seed,
            clock=self.clock,
        )
        self.state = folder / "state.json"

    def back_up(self, image: str, promise: timedelta | None = RPO) -> str:
        """One more point; returns the lineage."""
        source = self.written.source
        if image not in source.images:
            source.add(image, 4 * CELL)
        draw = seeded((image, self.written.clock().isoformat()))
        source.images[image].write(0, draw(CELL))
        bench = replace(self.written.bench(), promise=promise)
        result = backup(bench, source, source.found(image))
        self.written.results.append(result)
        return result.lineage.hex()

    def partial(self, image: str, promise: timedelta | None = RPO) -> None:
        """The partial points of a long run that has not ended; its full one is taken away."""
        self.written.knobs = replace(SMALL, pack_size=64 * 1024, partial_packs=2)
        held, draw = self.written.source.images[image], seeded(("long", image))
        held.resize(256 * CELL)
        for cell in range(256):
            held.write(cell * CELL, draw(4096))
        lineage = self.back_up(image, promise)
        self.manifests(lineage)[0].unlink()

    def manifests(self, lineage: str) -> list[Path]:
        """The newest first."""
        return sorted(self.repository.glob(f"m/*/{lineage}/*"))

    @property
    def root(self) -> str:
        """What stands on the sheet."""
        return hashlib.sha256(self.written.root_public).hexdigest()

    def check(self, *more: object) -> Said:
        """Look, with ``--json`` and a state file."""
        return look(
            *("--url", self.repository, "--root", self.root, "--state", self.state, "--json"), *more
        )

    def trusted(self) -> dict[str, Any]:
        """The body of trust 1."""
        return dict(decode_document((self.repository / "trust/1").read_bytes(), TRUST).body)

    def trust(self, number: int, body: dict[str, Any]) -> Path:
        """Another trust document, signed by the root."""
        text = encode_body(body | {"n": number})
        signed = self.written.sign(document_to_sign(TRUST, text))
        path = self.repository / "trust" / str(number)
        path.write_bytes(encode_document(TRUST, text, *signed))
        return path

    def with_host(self, **change: Any) -> dict[str, Any]:
        """Trust, the host's entry of it changed."""
        body = self.trusted()
        return body | {"keys": [dict(one) | change for one in body["keys"]]}


def samples(text: str) -> Iterator[tuple[str, str, float]]:
    """Name, labels and value of each line of a textfile."""
    for line in text.splitlines():
        if not line.startswith("#"):
            name, _, rest = line.partition("{")
            labels, _, value = rest.rpartition("} ")
            yield name, labels, float(value)
