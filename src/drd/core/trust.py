"""Who may sign what. The root signs ``format/<n>`` and ``trust/<n>``; hosts sign the rest.

The root's private key is on the recovery sheet, never on a host. A bucket cannot vouch for itself, so
a reader brings the root's fingerprint (SHA-256 of its public key) from the sheet or a key file.

A *signed document* is ``"drd1sign" ‖ blob(kind) ‖ blob(JSON) ‖ public key ‖ Ed25519 signature`` over
lp("drd1 " + kind, JSON). The JSON stands in clear in the middle, so a person can read it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from drd.core.coding import Reader, Writer, lp
from drd.core.seal import sha256
from drd.errors import IntegrityError, RefusedError
from drd.model import ID_BYTES, KEY_BYTES, Buffer, Json

MAGIC: Final = b"drd1sign"
FORMAT: Final = "format"
TRUST: Final = "trust"
GENERATION: Final = "generation"
VERSION: Final = 1
REQUIRED_KNOWN: Final[frozenset[str]] = frozenset()
"""Required features that this version understands: none were needed so far."""


def verify_signature(public: bytes, message: bytes, signature: bytes) -> None:
    """Check an Ed25519 signature (RFC 8032).

    Raises:
        IntegrityError: it is wrong.
    """
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise IntegrityError("a signature is wrong") from error


@dataclass(frozen=True, slots=True)
class Signed:
    """A document whose signature was checked, its body not yet read: first ask who *signer* is."""

    kind: str
    body: bytes
    signer: bytes
    sha256: bytes

    def read(self) -> Document:
        """Read the body.

        Raises:
            IntegrityError: it is no JSON object, or one that no writer of drd nests so deep.
        """
        try:
            parsed = json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise IntegrityError(f"a signed {self.kind} holds no JSON") from error
        if not isinstance(parsed, dict):
            raise IntegrityError(f"a signed {self.kind} holds no JSON object")
        return Document(self.kind, parsed, self.signer, self.sha256)


@dataclass(frozen=True, slots=True)
class Document:
    """A signed document that was read; whether its signer may sign it is another question."""

    kind: str
    body: dict[str, Json]
    signer: bytes
    sha256: bytes


def document_to_sign(kind: str, body: bytes) -> bytes:
    """What is signed."""
    return lp(b"drd1 " + kind.encode(), body)


def encode_body(body: Mapping[str, Json]) -> bytes:
    """JSON that a person can read."""
    return json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False).encode()


def encode_document(kind: str, body: bytes, signer: bytes, signature: bytes) -> bytes:
    """Put the parts together."""
    writer = Writer().raw(MAGIC).blob(kind.encode()).blob(body).raw(signer).raw(signature)
    return bytes(writer)


def decode_document(data: Buffer, kind: str) -> Document:
    """Take a document apart, check its signature and read it.

    Raises:
        IntegrityError: it is none of that kind, is damaged, or the signature is wrong.
    """
    return check_signature(data, kind).read()


def check_signature(data: Buffer, kind: str) -> Signed:
    """Take a document apart and check its signature; anybody can make one whose signature is right.

    Raises:
        IntegrityError: it is none of that kind, is damaged, or the signature is wrong.
    """
    reader = Reader(data, f"a signed {kind}")
    reader.expect(MAGIC, "magic")
    if reader.blob() != kind.encode():
        raise IntegrityError(f"a signed document is no {kind}")
    body = reader.blob()
    signer = reader.raw(KEY_BYTES)
    signature = reader.raw(64)
    reader.end()
    verify_signature(signer, document_to_sign(kind, body), signature)
    return Signed(kind, body, signer, sha256(data))


def hex_field(body: Mapping[str, Json], name: str, length: int) -> bytes:
    """A field of hex digits.

    Raises:
        IntegrityError: it is missing or of another length.
    """
    value = body.get(name)
    if not isinstance(value, str):
        raise IntegrityError(f"a signed document lacks {name}")
    try:
        decoded = bytes.fromhex(value)
    except ValueError as error:
        raise IntegrityError(f"a signed document has a damaged {name}") from error
    if len(decoded) != length:
        raise IntegrityError(f"a signed document has a {name} of a wrong length")
    return decoded


def words_field(body: Mapping[str, Json], name: str) -> list[str]:
    """A field that lists words."""
    value = body.get(name, [])
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise IntegrityError(f"a signed document has a damaged {name}")
    return [str(word) for word in value]


def number_field(body: Mapping[str, Json], name: str) -> int:
    """A field that holds a whole number, not negative."""
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise IntegrityError(f"a signed document has a damaged {name}")
    return value


def when_field(body: Mapping[str, Json], name: str) -> datetime | None:
    """A field that holds an RFC 3339 time with offset, or nothing."""
    value = body.get(name)
    if value is None:
        return None
    try:
        when = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise IntegrityError(f"a signed document has a damaged {name}") from error
    if when.tzinfo is None:
        raise IntegrityError(f"a signed document has a {name} without offset")
    return when


@dataclass(frozen=True, slots=True)
class RepositoryFormat:
    """What ``format/<n>`` says."""

    repository: bytes
    root: bytes
    reader_sha256: bytes
    optional_features: tuple[str, ...]


def read_format(document: Document) -> RepositoryFormat:
    """Understand a format document that verified, or refuse it.

    Raises:
        RefusedError: a newer version, or a required feature that this drd does not know.
        IntegrityError: it is damaged, or not signed by the root that it names.
    """
    body = document.body
    if number_field(body, "version") != VERSION:
        raise RefusedError(
            f"the repository has format version {body['version']}, this drd knows {VERSION}",
            hint="use a newer drd",
        )
    unknown = set(words_field(body, "required_features")) - REQUIRED_KNOWN
    if unknown:
        raise RefusedError(
            f"the repository needs features unknown to this drd: {', '.join(sorted(unknown))}",
            hint="use a newer drd",
        )
    root = hex_field(body, "root", KEY_BYTES)
    if root != document.signer:
        raise IntegrityError("the format object is not signed by the root that it names")
    return RepositoryFormat(
        repository=hex_field(body, "repository", ID_BYTES),
        root=root,
        reader_sha256=hex_field(body, "reader", KEY_BYTES),
        optional_features=tuple(words_field(body, "optional_features")),
    )


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that trust names: for which roles and tenants, from when to when, and what is revoked.

    ``revoked`` maps a lineage to (last good seq, its SHA-256): later manifests are refused. An empty
    mapping with ``revoked_at`` set refuses the key everywhere.
    """

    public: bytes
    roles: frozenset[str]
    tenants: frozenset[bytes]
    not_before: datetime | None
    not_after: datetime | None
    revoked_at: datetime | None
    revoked: Mapping[bytes, tuple[int, bytes]]

    def valid_at(self, when: datetime) -> bool:
        """Whether *when* is inside the time of validity, its ends included."""
        return not (
            (self.not_before and when < self.not_before)
            or (self.not_after and when > self.not_after)
        )


@dataclass(frozen=True, slots=True)
class Trust:
    """What ``trust/<n>`` says."""

    number: int
    repository: bytes
    keys: Mapping[bytes, SigningKey]
    tenants: tuple[bytes, ...]
    recovery: bytes | None
    sha256: bytes


def _list(body: Mapping[str, Json], name: str) -> list[dict[str, Json]]:
    value = body.get(name, [])
    if not isinstance(value, list):
        raise IntegrityError(f"trust has a damaged {name}")
    entries: list[dict[str, Json]] = []
    for entry in value:
        if not isinstance(entry, dict):
            raise IntegrityError(f"trust has a damaged {name}")
        entries.append(entry)
    return entries


def _read_key(entry: Mapping[str, Json]) -> SigningKey:
    revoked = {}
    for line in _list(entry, "revoked"):
        lineage = hex_field(line, "lineage", ID_BYTES)
        revoked[lineage] = (number_field(line, "seq"), hex_field(line, "sha256", KEY_BYTES))
    try:
        tenants = frozenset(bytes.fromhex(word) for word in words_field(entry, "tenants"))
    except ValueError as error:
        raise IntegrityError("trust has a damaged tenant") from error
    return SigningKey(
        public=hex_field(entry, "key", KEY_BYTES),
        roles=frozenset(words_field(entry, "roles")),
        tenants=tenants,
        not_before=when_field(entry, "not_before"),
        not_after=when_field(entry, "not_after"),
        revoked_at=when_field(entry, "revoked_at"),
        revoked=revoked,
    )


def read_trust(document: Document, root: bytes) -> Trust:
    """Understand a trust document.

    Raises:
        IntegrityError: it is damaged, or not signed by *root*.
    """
    if document.signer != root:
        raise IntegrityError("trust is not signed by the root")
    body = document.body
    keys = [_read_key(entry) for entry in _list(body, "keys")]
    recovery = body.get("recovery")
    try:
        tenants = tuple(bytes.fromhex(word) for word in words_field(body, "tenants"))
        recovery_public = bytes.fromhex(str(recovery)) if recovery else None
    except ValueError as error:
        raise IntegrityError("trust holds damaged hex digits") from error
    return Trust(
        number=number_field(body, "n"),
        repository=hex_field(body, "repository", ID_BYTES),
        keys={key.public: key for key in keys},
        tenants=tenants,
        recovery=recovery_public,
        sha256=document.sha256,
    )


def last_good(trust: Trust, lineage: bytes) -> frozenset[int]:
    """Numbers of the points of *lineage* that trust names as the last good ones of revoked keys.

    By number alone: all versions of a manifest are deleted together, and the one that trust means by its
    hash can lie beneath another. What stands in a key that is not revoked means nothing (docs/format.md,
    section 4).
    """
    return frozenset(
        key.revoked[lineage][0]
        for key in trust.keys.values()
        if key.revoked_at is not None and lineage in key.revoked
    )


def may_sign(trust: Trust, signer: bytes, role: str, tenant: bytes) -> SigningKey:
    """The key *signer*, if trust lets it sign as *role* for *tenant*.

    Raises:
        IntegrityError: it does not.
    """
    key = trust.keys.get(signer)
    if key is None or role not in key.roles or tenant not in key.tenants:
        raise IntegrityError("signed by a key that trust does not name for this")
    return key
