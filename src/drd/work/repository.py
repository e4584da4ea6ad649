"""Open a repository: find out what it is, whether these keys belong to it, and whom it trusts.

1. ``format/``: the newest document that verifies and is signed by the root that the keys name by its
   fingerprint. A bucket cannot vouch for itself; without a fingerprint the root is taken as found,
   and a warning says which.
2. Version and required features must be known; else it is refused, not guessed.
3. Repository id must be the one that the keys were made for.
4. ``trust/``: the newest document that the same root signed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from drd.core import names, seal
from drd.core.seal import Scope
from drd.core.trust import (
    FORMAT,
    TRUST,
    Document,
    RepositoryFormat,
    Signed,
    Trust,
    check_signature,
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
    fingerprint = ring.root_fingerprint

    def of_root(signed: Signed) -> bool:
        return fingerprint is None or seal.sha256(signed.signer) == fingerprint

    documents, strangers = _documents(
        store, names.FORMAT_PREFIX, FORMAT, by=of_root, warnings=warnings
    )
    if not documents:
        raise _no_format(store.url, strangers=strangers)
    document = documents[0]
    known = read_format(document)
    if fingerprint is None:
        warnings.append(
            "these keys do not say which root may be trusted: it is taken as found here. Compare its "
            f"fingerprint with the recovery sheet: {seal.sha256(known.root).hex()}"
        )
    if ring.repository is not None and ring.repository != known.repository:
        raise RefusedError(
            "this bucket holds another repository than the one these keys belong to",
            about=store.url,
            hint=f"it is {known.repository.hex()}, the keys are for {ring.repository.hex()}",
        )

    def of_same_root(signed: Signed) -> bool:
        return signed.signer == known.root

    found, _ = _documents(store, names.TRUST_PREFIX, TRUST, by=of_same_root, warnings=warnings)
    trusts = [read_trust(one, known.root) for one in found]
    if not trusts:
        raise IntegrityError(
            "the repository has no trust document, or none that is whole",
            about=f"{store.url}/{names.trust_key(1)}",
            hint="put it back: an older version of it, or from a copy of the bucket",
        )
    trust = trusts[0]
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


def _no_format(url: str, *, strangers: int) -> NotFoundError | RefusedError:
    if strangers:
        return RefusedError(
            "no format document here is signed by the root that these keys name",
            about=url,
            hint="this is another repository, or somebody replaced its format object; check the "
            "fingerprint on the recovery sheet",
        )
    return NotFoundError(
        "there is no repository here",
        about=url,
        hint="check repository.url, or make one with 'drctl init'",
    )


def _documents(
    store: Store,
    prefix: str,
    kind: str,
    *,
    by: Callable[[Signed], bool],
    warnings: list[str],
) -> tuple[Sequence[Document], int]:
    """The accepted document of each number, newest number first; and how many others verify.

    Of the versions under one name the oldest that is accepted is meant: who may only add versions can
    neither shadow a document with one of his own nor bring an older one back under a newer number
    (trust says its own). What was not signed *by* whom it must be is not even read: it is bytes that a
    stranger chose.
    """
    found: list[tuple[int, Document]] = []
    strangers = 0
    for listed in store.list(prefix):
        number = names.numbered(listed.key)
        if number is None:
            warnings.append(f"{listed.key} is not one of drd's objects")
            continue
        for signed in _verified(store, listed.key, kind):
            document = _read(signed, number) if by(signed) else None
            if document is not None:
                found.append((number, document))
                break
            strangers += 1
        else:
            warnings.append(f"{listed.key} is garbage, or signed by somebody else")
    return [document for _, document in sorted(found, key=lambda one: -one[0])], strangers


def _read(signed: Signed, number: int) -> Document | None:
    """What was signed, if it can be read and belongs under that number."""
    try:
        document = signed.read()
    except IntegrityError:
        return None
    wrong = signed.kind == TRUST and document.body.get("n") != number
    return None if wrong else document


def _verified(store: Store, key: str, kind: str) -> Iterator[Signed]:
    """Every version of *key* whose signature is right, oldest first, whoever made it."""
    for version in store.versions(key):
        try:
            yield check_signature(store.get(key, version=version.version), kind)
        except IntegrityError:
            continue
