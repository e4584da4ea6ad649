"""Make a repository. It exists when ``format/1`` does, which comes last.

1. The place must be empty of drd's objects: another repository is never touched.
2. The store is tried: without conditional PUT *and* without versions two writers could overwrite each
   other's manifests, so such a store is refused.
3. Trust, then the reader, then format, each signed by the root.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from drd.core import names, seal
from drd.core.trust import FORMAT, TRUST, VERSION, document_to_sign, encode_body, encode_document
from drd.errors import ObjectExistsError, RefusedError
from drd.model import Json, StoreAbilities
from drd.ports import Store
from drd.work.once import put_once

Sign = Callable[[bytes], tuple[bytes, bytes]]

UNFINISHED: Final = "an init that did not end left its trust document here, and no repository"
DO_IT_AGAIN: Final = (
    f"nothing was backed up to it: remove {names.trust_key(1)}, and the key file and sheet of that init, "
    "and run it again; or use another bucket or prefix"
)
HOW_TO_RESTORE = (
    "Take the recovery sheet. With drd at hand: drctl restore NAME --to file:PATH --sheet FILE --url URL. "
    "Without: fetch reader/<sha256> (a Python file named by its SHA-256, which stands in 'reader' here), "
    "install cryptography, zstandard and blake3, and run it with the address of this bucket and the sheet."
)


@dataclass(frozen=True, slots=True)
class NewRepository:
    """What a new repository is made of; ``sign`` signs with the root's private key.

    ``hosts`` maps each signing key (public) to its roles.
    """

    repository: bytes
    tenant: bytes
    root: bytes
    sign: Sign
    hosts: dict[bytes, tuple[str, ...]]
    recovery: bytes | None
    reader: bytes
    now: datetime


def check_empty(store: Store) -> None:
    """Step 1.

    Raises:
        RefusedError: there is a repository, or parts of one.
    """
    there = [
        found.key
        for prefix in (names.FORMAT_PREFIX, "m/", names.TRUST_PREFIX)
        for found in store.list(prefix, limit=1)
    ]
    if not there:
        return
    about = f"{store.url} ({there[0]})"
    if there == [names.trust_key(1)]:
        raise RefusedError(UNFINISHED, about=about, hint=DO_IT_AGAIN)
    raise RefusedError(
        "there is a repository here already",
        about=about,
        hint="use another bucket or prefix; drd never overwrites a repository",
    )


def check_able(store: Store) -> StoreAbilities:
    """Step 2.

    Raises:
        RefusedError: the store can neither put conditionally nor keep versions.
    """
    abilities = store.abilities()
    if not abilities.conditional_put and not abilities.versioned:
        raise RefusedError(
            "this store honours neither If-None-Match nor versions",
            about=store.url,
            hint="turn on versioning of the bucket",
        )
    return abilities


def init(store: Store, new: NewRepository) -> None:
    """Step 3.

    Raises:
        RefusedError: somebody else makes a repository here.
        StoreError: the store failed; ``check_empty`` tells what is there.
    """
    digest = seal.sha256(new.reader)
    store.put(names.reader_key(digest), new.reader)
    created: dict[str, Json] = {
        "repository": new.repository.hex(),
        "created_at": new.now.isoformat(),
    }
    roles: list[Json] = [
        {"key": key.hex(), "roles": list(roles), "tenants": [new.tenant.hex()]}
        for key, roles in new.hosts.items()
    ]
    trust: dict[str, Json] = {
        **created,
        "n": 1,
        "tenants": [new.tenant.hex()],
        "recovery": new.recovery.hex() if new.recovery else None,
        "keys": roles,
    }
    form: dict[str, Json] = {
        **created,
        "version": VERSION,
        "root": new.root.hex(),
        "reader": digest.hex(),
        "required_features": [],
        "optional_features": [],
        "suites": {
            "aead": "AES-256-GCM",
            "kdf": "HKDF-SHA256",
            "hash": "SHA-256",
            "digest": "BLAKE3 keyed",
            "seal": "HPKE MLKEM768-X25519 HKDF-SHA256 AES-256-GCM",
            "signature": "Ed25519",
            "compression": "zstd",
        },
        "how_to_restore": HOW_TO_RESTORE,
    }
    try:
        put_once(store, names.trust_key(1), _signed(TRUST, trust, new.sign))
        put_once(store, names.format_key(1), _signed(FORMAT, form, new.sign))
    except ObjectExistsError as error:
        raise RefusedError("somebody else is making a repository here", about=store.url) from error


def _signed(kind: str, body: dict[str, Json], sign: Sign) -> bytes:
    encoded = encode_body(body)
    return encode_document(kind, encoded, *sign(document_to_sign(kind, encoded)))
