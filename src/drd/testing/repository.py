"""A fresh repository in any store, and a bench to work at, both deterministic."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from drd.core import names
from drd.core.trust import (
    FORMAT,
    TRUST,
    VERSION,
    document_to_sign,
    encode_body,
    encode_document,
)
from drd.model import KEY_BYTES, Json
from drd.ports import Catalogue, Lease, Now, Report, Store
from drd.stores.metered import MeteredStore
from drd.testing.fakes import (
    Inline,
    MemoryCatalogue,
    MemoryRing,
    NoLease,
    SteppingClock,
    seeded,
)
from drd.work.bench import Bench, Knobs
from drd.work.repository import Repository, open_repository


def format_body(ring: MemoryRing) -> dict[str, Json]:
    """What ``format/<n>`` says of a repository whose root is in *ring*."""
    return {
        "version": VERSION,
        "repository": ring.repository.hex(),
        "root": ring.sign_as_root(b"")[0].hex(),
        "reader": bytes(KEY_BYTES).hex(),
        "required_features": [],
        "optional_features": [],
    }


def host_key(ring: MemoryRing, **more: Json) -> dict[str, Json]:
    """An entry of trust that lets the ring's host key sign for its tenant; *more* fields override."""
    entry: dict[str, Json] = {
        "key": ring.host_public.hex(),
        "roles": ["host"],
        "tenants": [ring.tenant.hex()],
    }
    return entry | more


def trust_body(
    ring: MemoryRing, *, number: int = 1, keys: Sequence[Mapping[str, Json]] | None = None
) -> dict[str, Json]:
    """What ``trust/<number>`` says: the host key of *ring*, or *keys*."""
    entries: list[Json] = [dict(entry) for entry in (keys or [host_key(ring)])]
    return {
        "n": number,
        "repository": ring.repository.hex(),
        "tenants": [ring.tenant.hex()],
        "keys": entries,
    }


def root_document(ring: MemoryRing, kind: str, body: Mapping[str, Json]) -> bytes:
    """A document signed by the root in *ring*."""
    encoded = encode_body(body)
    signer, signature = ring.sign_as_root(document_to_sign(kind, encoded))
    return encode_document(kind, encoded, signer, signature)


def make_repository(store: Store, ring: MemoryRing) -> Repository:
    """Write trust and format into *store*, as ``drctl init`` does, and open the repository."""
    store.put(names.trust_key(1), root_document(ring, TRUST, trust_body(ring)))
    store.put(names.format_key(1), root_document(ring, FORMAT, format_body(ring)))
    return open_repository(store, ring)


SMALL = Knobs(
    frame_size=64 * 1024, pack_size=256 * 1024, in_flight=1, sample_cells=0, partial_packs=4
)
"""Knobs that make small images large: several packs and partial points in a few MiB."""


@dataclass
class Workshop:
    """What one process has: its store, its keys, its cache. Making a new one is a restart.

    ``seed`` must differ between processes that write to one repository, as their randomness does.
    """

    store: Store
    ring: MemoryRing
    seed: object = 0
    knobs: Knobs = SMALL
    catalogue: Catalogue = field(default_factory=MemoryCatalogue)
    lease: Lease = field(default_factory=NoLease)
    clock: Now = field(default_factory=SteppingClock)
    report: Report = field(default=lambda _: None)

    def bench(self) -> Bench:
        """A bench on the repository, which must exist; threads are :class:`Inline`."""
        metered = MeteredStore(self.store)
        repository = open_repository(metered, self.ring)
        return bench_of(self, repository, uploads=lambda: (metered.puts, metered.bytes_put))


def bench_of(
    shop: Workshop, repository: Repository, *, uploads: Callable[[], tuple[int, int]]
) -> Bench:
    """A bench on an open repository."""
    ticks = SteppingClock(step=timedelta(milliseconds=1))

    def seconds() -> float:
        return ticks().timestamp()

    return Bench(
        repository=repository,
        catalogue=shop.catalogue,
        lease=shop.lease,
        cpu=Inline(),
        transfers=Inline(),
        now=shop.clock,
        random=seeded(("bench", shop.seed)),
        report=shop.report,
        timer=seconds,
        uploads=uploads,
        knobs=shop.knobs,
    )
