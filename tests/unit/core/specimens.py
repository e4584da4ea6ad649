"""One small object of each kind, all of one imaginary lineage."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from drd.core import hybrid, pack, seal
from drd.core import manifest as manifests
from drd.core.compress import Compressor
from drd.core.manifest import Clear, Reference, RollEntry
from drd.core.pack import Epoch, Frame, Trailer
from drd.core.seal import Scope, SealOrder
from drd.core.sections import (
    CellDigests,
    FrameTable,
    Item,
    MapPiece,
    What,
    encode_digests,
    encode_items,
    encode_map,
)
from drd.core.tables import (
    PackRow,
    PackRows,
    PackSecret,
    Part,
    TableKind,
    encode_table,
    encode_table_sections,
)
from drd.core.trust import Document, Trust, decode_document, read_trust
from drd.model import Geometry, Json, PointKind
from drd.testing.fakes import START, MemoryRing, seeded
from drd.testing.repository import root_document, trust_body

RING: Final = MemoryRing.make("specimens")
GEOMETRY: Final = Geometry(block=64, cell=256, window_blocks=64)
LINEAGE: Final = b"lineage of tests"
SCOPE: Final = Scope(RING.repository, RING.tenant, LINEAGE)
ELSEWHERE: Final = (
    replace(SCOPE, repository=b"other repository"),
    replace(SCOPE, tenant=b"another tenant.."),
    replace(SCOPE, lineage=b"another lineage."),
)
METADATA_KEY: Final = bytes(range(32))
TABLE_ID: Final = b"the table's name"
PACK_ID: Final = b"the pack's name."
SEQ: Final = 7


def order(*, salt: bytes = b"salt of sixteen.", scope: Scope = SCOPE) -> SealOrder:
    return SealOrder(scope, 1, METADATA_KEY, salt)


def noise(length: int, seed: object = "noise") -> bytes:
    """Bytes that zstd cannot shrink."""
    return seeded(seed)(length)


# ── sections ────────────────────────────────────────────────────────────────────────────────────


def column(*values: int) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    return np.array(values, np.uint32)


def map_piece() -> MapPiece:
    """Two frames of pack 3, one of pack 5; an extent over the edge of a frame, a hole, a jump."""
    frames = FrameTable(
        pack=column(3, 3, 5),
        frame=column(0, 1, 4),
        offset=column(100, 300, 7000),
        stored=column(200, 100, 144),
        plain=column(256, 128, 128),
    )
    return MapPiece(
        frames=frames,
        first=column(1, 8, 60),
        count=column(5, 3, 2),
        zero=np.array([False, True, False]),
        line=np.array([1, 0, 6], np.int64),
    )


def digests() -> CellDigests:
    return CellDigests(column(0, 2, 15), np.array([1 << 63, 0, 77], np.uint64))


ITEMS: Final = [
    Item(1, "", 1000, ((0, 4),)),
    Item(2, "späth/x", 0, (), removed=True),
    Item(9, "pg_wal", 5000, ((4, 10), (30, 10))),
]

PARTS: Final = (
    Part(What.MAP, 0, encode_map(map_piece())),
    Part(What.MAP, 2, encode_map(MapPiece.empty())),
    Part(What.DIGESTS, 0, encode_digests(digests())),
    Part(What.ITEMS, 0, encode_items(ITEMS)),
)


# ── packs ───────────────────────────────────────────────────────────────────────────────────────

EPOCH_ID: Final = b"id of the epoch."
EPOCH_KEY: Final = noise(32, "epoch key")
PRIVATE: Final = RING.holder.private
PUBLIC: Final = hybrid.public_of(PRIVATE)


def epoch(scope: Scope = SCOPE) -> Epoch:
    """An epoch whose key really opens with ``PRIVATE``."""
    sealed = hybrid.seal_to(PUBLIC, pack.epoch_info(scope, 1, EPOCH_ID), EPOCH_KEY)
    return Epoch(EPOCH_ID, 1, seal.sha256(PUBLIC), sealed)


PLAINS: Final = (noise(128, "frame 0"), bytes(256), noise(64, "frame 2"))


def frames() -> list[Frame]:
    shrink = Compressor(1).shrink
    return [Frame(shrink(plain), len(plain)) for plain in PLAINS]


def pack_bytes(header: bytes, *, pack_id: bytes = PACK_ID, scope: Scope = SCOPE) -> bytes:
    """A whole pack behind *header*: frames, footer, trailer."""
    key, _ = pack.pack_secret(EPOCH_KEY, scope, pack_id)
    room = bytearray(100_000)
    at = pack.seal_frames(header, key, frames(), memoryview(room))
    sections = encode_table_sections(PARTS)
    footer = seal.seal_object(
        pack.FOOTER, order(scope=scope), pack_id, clear=b"", sections=sections
    )
    return bytes(room[:at]) + footer + pack.encode_trailer(Trailer(at, len(footer), len(PLAINS)))


# ── tables ──────────────────────────────────────────────────────────────────────────────────────


def pack_rows() -> PackRows:
    """Packs 3 and 5, each sealed in an epoch of its own (their sealed keys are short stand-ins)."""
    epochs = (
        Epoch(b"epoch of pack 3.", 1, noise(32, "public 1"), b"sealed"),
        Epoch(b"epoch of pack 5.", 2, noise(32, "public 2"), b"sealed too"),
    )
    return PackRows(
        rows=(
            PackRow(3, noise(16, "pack 3"), 1, 4000, noise(32, "sha 3"), "v-3"),
            PackRow(5, noise(16, "pack 5"), 2, 8000, noise(32, "sha 5"), ""),
        ),
        secrets=(
            PackSecret(3, epochs[0].epoch_id, noise(32, "c 3"), noise(32, "h 3"), 2),
            PackSecret(5, epochs[1].epoch_id, noise(32, "c 5"), noise(32, "h 5"), 9),
        ),
        epochs=epochs,
    )


def table(kind: TableKind = TableKind.RUN, *, scope: Scope = SCOPE) -> bytes:
    return encode_table(
        kind, order(scope=scope), TABLE_ID, rows=pack_rows(), reached=[3, 5], parts=PARTS
    )


# ── manifests and trust ─────────────────────────────────────────────────────────────────────────


def trust(**host: object) -> Trust:
    """Trust that names the host key of ``RING``; *host* overrides fields of that key."""
    body = trust_body(RING)
    keys = body["keys"]
    assert isinstance(keys, list)
    assert isinstance(keys[0], dict)
    keys[0].update(host)  # type: ignore[arg-type]
    document = decode_document(root_document(RING, "trust", body), "trust")
    return read_trust(document, document.signer)


def root_signed(kind: str, body: dict[str, object]) -> Document:
    return decode_document(root_document(RING, kind, body), kind)  # type: ignore[arg-type]


def reference(kind: TableKind, number: int = 0, *, level: int = 0, through: int = 1) -> Reference:
    name = f"{kind} {number} {level} {through}"
    return Reference(kind, number, level, through, noise(16, name), 900, noise(32, name), "v")


def clear(seq: int = SEQ, *, scope: Scope = SCOPE) -> Clear:
    return Clear(
        scope=scope,
        seq=seq,
        kind=PointKind.FULL,
        point_at=START,
        committed_at=START + timedelta(minutes=5),
        next_by=datetime(2026, 1, 2, tzinfo=UTC),
        protect_until=None,
        predecessor=(seq - 1, noise(32, seq - 1)),
        generation=1,
        trust=(1, noise(32, "trust")),
        ordinal=12,
        references=(reference(TableKind.RUN), reference(TableKind.SHARD, 3)),
        roll=(RollEntry(seq - 1, noise(32, seq - 1), PointKind.FULL, START),),
    )


FACTS: Final[dict[str, Json]] = {"name": "pool/ä", "size": 1000, "item": 1}


def manifest(what: Clear, *, ring: MemoryRing = RING, scope: Scope = SCOPE) -> bytes:
    """A whole signed manifest."""
    sealed = manifests.seal_facts(order(scope=scope), what.seq, FACTS)
    return signed_manifest(what, sealed, ring=ring)


def signed_manifest(what: Clear, sealed: bytes, *, ring: MemoryRing = RING) -> bytes:
    encoded = manifests.encode_clear(what)
    signer, signature = ring.sign(manifests.to_sign(encoded, sealed))
    return manifests.encode_manifest(encoded, sealed, signer, signature)
