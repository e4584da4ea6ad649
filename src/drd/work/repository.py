"""Open a repository: find out what it is, whether these keys belong to it, and whom it trusts.

1. ``format/``: the newest document that verifies and is signed by the root that the keys name by its
   fingerprint. A bucket cannot vouch for itself; without a fingerprint the root is taken as found,
   and that is said.
2. Version and required features must be known; else it is refused, not guessed.
3. Repository id must be the one that the keys were made for.
4. ``trust/``: the newest document that the same root signed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from drd.core import names, seal
from drd.core.seal import Scope
from drd.core.trust import (
    FORMAT,
    TRUST,
    Document,
    RepositoryFormat,
    Trust,
    decode_document,
    read_format,
    read_trust,
)
from drd.errors import IntegrityError, NotFoundError, RefusedError
from drd.ports import KeyRing, Store


@dataclass(frozen=True, slots=True)
class Repository:
    """An open repository. ``warnings`` is filled with what was strange and did no harm."""

    store: Store
    ring: KeyRing
    format: RepositoryFormat
    trust: Trust
    tenant: bytes
    warnings: list[str] = field(default_factory=list)

    def scope(self, lineage: bytes) -> Scope:
        """Where the objects of *lineage* belong."""
        return Scope(self.format.repository, self.tenant, lineage)


def open_repository(store: Store, ring: KeyRing) -> Repository:
    """Open the repository in *store* with the keys in *ring*; see the module for the steps.

    Raises:
        NotFoundError: there is no repository here.
        RefusedError: it is another repository, or of a newer format.
        IntegrityError: format or trust is damaged.
    """
    warnings: list[str] = []
    documents = _documents(store, names.FORMAT_PREFIX, FORMAT, warnings)
    if not documents:
        raise NotFoundError(
            "there is no repository here",
            about=store.url,
            hint="check repository.url, or make one with 'drctl init'",
        )
    document = _of_root(documents, ring, store.url)
    known = read_format(document)
    if ring.repository is not None and ring.repository != known.repository:
        raise RefusedError(
            "this bucket holds another repository than the one these keys belong to",
            about=store.url,
            hint=f"it is {known.repository.hex()}, the keys are for {ring.repository.hex()}",
        )
    trusts = [
        read_trust(one, known.root)
        for one in _documents(store, names.TRUST_PREFIX, TRUST, warnings)
        if one.signer == known.root
    ]
    if not trusts:
        raise IntegrityError("the repository has no trust document", about=store.url)
    trust = max(trusts, key=lambda one: one.number)
    if trust.repository != known.repository:
        raise IntegrityError("trust belongs to another repository", about=store.url)
    tenant = ring.tenant or _only_tenant(trust)
    return Repository(store, ring, known, trust, tenant, warnings)


def _only_tenant(trust: Trust) -> bytes:
    if len(trust.tenants) != 1:
        raise RefusedError(
            "the repository has several tenants and these keys do not say which is meant",
            hint="use a key file of the tenant",
        )
    return trust.tenants[0]


def _documents(store: Store, prefix: str, kind: str, warnings: list[str]) -> Sequence[Document]:
    """Every document below *prefix* that decodes, newest number first; others are warned of."""
    found: list[tuple[int, Document]] = []
    for listed in store.list(prefix):
        number = names.numbered(listed.key)
        if number is None:
            warnings.append(f"{listed.key} is not one of drd's objects")
            continue
        document = _first_valid(store, listed.key, kind)
        if document is None:
            warnings.append(f"{listed.key} is garbage")
            continue
        found.append((number, document))
    return [document for _, document in sorted(found, key=lambda one: -one[0])]


def _first_valid(store: Store, key: str, kind: str) -> Document | None:
    """The oldest version of *key* that verifies: who may only add versions cannot shadow it."""
    try:
        return decode_document(store.get(key), kind)
    except IntegrityError:
        pass
    for version in store.versions(key):
        try:
            return decode_document(store.get(key, version=version.version), kind)
        except IntegrityError:
            continue
    return None


def _of_root(documents: Sequence[Document], ring: KeyRing, url: str) -> Document:
    """The newest document signed by the root that the ring names."""
    fingerprint = ring.root_fingerprint
    if fingerprint is None:
        return documents[0]
    for document in documents:
        if seal.sha256(document.signer) == fingerprint:
            return document
    raise RefusedError(
        "no format document here is signed by the root that these keys name",
        about=url,
        hint="this is another repository, or somebody replaced its format object; check the "
        "fingerprint on the recovery sheet",
    )
