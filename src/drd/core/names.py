"""Names of objects in the bucket (``docs/format.md``, Objects). Kind first, so that credentials can
be cut by prefix; names of pools, images and databases never appear.
"""

from __future__ import annotations

import re
from typing import Final

from drd.errors import IntegrityError

MAX_SEQ: Final = 10**10 - 1

MAX_KEY: Final = 512
"""Characters of a key. S3 allows 1,024 bytes; the rest is left to the prefix of the repository."""

MAX_COMPONENT: Final = 255
"""Characters between two slashes: NAME_MAX of Linux (``linux/limits.h``), which MinIO has too."""

_COMPONENT: Final = re.compile(rf"(?!\.\.?\Z)[A-Za-z0-9._-]{{1,{MAX_COMPONENT}}}\Z")

FORMAT_PREFIX: Final = "format/"
TRUST_PREFIX: Final = "trust/"
READER_PREFIX: Final = "reader/"

_MANIFEST: Final = re.compile(r"m/([0-9a-f]{32})/([0-9a-f]{32})/([0-9]{10})")
_NUMBERED: Final = re.compile(r"(?:format|trust)/([1-9][0-9]{0,9})")
_PLACE: Final = "[0-9a-f]{32}/[0-9a-f]{32}"
_KNOWN: Final = re.compile(
    rf"(?:format|trust)/[1-9][0-9]{{0,9}}|reader/[0-9a-f]{{64}}|m/{_PLACE}/[0-9]{{10}}"
    rf"|[px]/{_PLACE}/[0-9a-f]{{32}}"
    rf"|k/{_PLACE}/m?[1-9][0-9]*\.(?:pub|[a-z]+-[0-9a-f]{{16}}\.[1-9][0-9]{{0,9}})"
    rf"|g/{_PLACE}/[1-9][0-9]{{0,9}}"
    rf"|h/{_PLACE}/(?:hold|release|result)-[0-9]{{10}}-[0-9a-f]{{16}}"
    r"|(?:probe|w|r|pin)/.+"
)
"""Every name of format 1; what lies below the last few is of features that may come."""
JOURNAL_KINDS: Final = frozenset({"doomed", "deleted", "spared"})
"""Statements about deletion: numbered from 1, one journal for each lineage, below ``g/``."""
STATEMENT_KINDS: Final = frozenset({"hold", "release", "result"})
"""Statements about one point, below ``h/``."""
TAG_BYTES: Final = 8

_JOURNAL: Final = re.compile(rf"g/{_PLACE}/([1-9][0-9]{{0,9}})")
_STATEMENT: Final = re.compile(rf"h/{_PLACE}/(hold|release|result)-([0-9]{{10}})-([0-9a-f]{{16}})")
_ID: Final = re.compile(r"[0-9a-f]{32}")
_SLOT: Final = re.compile(r"([1-9][0-9]{0,9})")


def is_component(text: str) -> bool:
    """Whether *text* can stand between two slashes of a key."""
    return _COMPONENT.match(text) is not None


def is_key(text: str) -> bool:
    """Whether *text* is a key; anything else that lies in a repository is not drd's."""
    return len(text) <= MAX_KEY and all(is_component(part) for part in text.split("/"))


def is_id(text: str) -> bool:
    """Whether *text* is a tenant's, a lineage's, a pack's or a table's id, as keys have them."""
    return _ID.fullmatch(text) is not None


def is_known(key: str) -> bool:
    """Whether an object of this name can be drd's."""
    return _KNOWN.fullmatch(key) is not None


def format_key(number: int) -> str:
    """The *number*-th format object."""
    return f"{FORMAT_PREFIX}{number}"


def trust_key(number: int) -> str:
    """The *number*-th trust object."""
    return f"{TRUST_PREFIX}{number}"


def reader_key(sha256: bytes) -> str:
    """The stand-alone reader, named by its hash."""
    return f"{READER_PREFIX}{sha256.hex()}"


def numbered(key: str) -> int | None:
    """Number of a format or trust key; None for any other name."""
    match = _NUMBERED.fullmatch(key)
    return int(match[1]) if match else None


def manifest_folder(tenant: bytes, lineage: bytes) -> str:
    """Prefix of one lineage's manifests."""
    return f"m/{tenant.hex()}/{lineage.hex()}/"


def manifest_key(tenant: bytes, lineage: bytes, seq: int) -> str:
    """Inverted number: the newest sorts first, so one LIST of one key finds it."""
    if not 0 <= seq <= MAX_SEQ:
        raise IntegrityError(f"sequence number {seq} is out of range")
    return f"{manifest_folder(tenant, lineage)}{MAX_SEQ - seq:010d}"


def parse_manifest_key(key: str) -> tuple[bytes, bytes, int] | None:
    """Tenant, lineage and sequence number; None for any other name."""
    match = _MANIFEST.fullmatch(key)
    if match is None:
        return None
    return bytes.fromhex(match[1]), bytes.fromhex(match[2]), MAX_SEQ - int(match[3])


def pack_key(tenant: bytes, lineage: bytes, pack: bytes) -> str:
    """A pack."""
    return f"p/{tenant.hex()}/{lineage.hex()}/{pack.hex()}"


def table_key(tenant: bytes, lineage: bytes, table: bytes) -> str:
    """A run, shard, table or roll."""
    return f"x/{tenant.hex()}/{lineage.hex()}/{table.hex()}"


def pack_folder(tenant: bytes, lineage: bytes) -> str:
    """Prefix of one lineage's packs."""
    return f"p/{tenant.hex()}/{lineage.hex()}/"


def table_folder(tenant: bytes, lineage: bytes) -> str:
    """Prefix of one lineage's tables."""
    return f"x/{tenant.hex()}/{lineage.hex()}/"


def key_folder(tenant: bytes, lineage: bytes) -> str:
    """Prefix of one lineage's public keys and slots."""
    return f"k/{tenant.hex()}/{lineage.hex()}/"


def journal_folder(tenant: bytes, lineage: bytes) -> str:
    """Prefix of one lineage's journal of deletions."""
    return f"g/{tenant.hex()}/{lineage.hex()}/"


def journal_number(key: str) -> int | None:
    """Number of a statement in a journal; None for any other name."""
    match = _JOURNAL.fullmatch(key)
    return int(match[1]) if match else None


def statement_folder(tenant: bytes, lineage: bytes, kind: str = "") -> str:
    """Prefix of one lineage's holds, releases and results, or of those of one *kind*."""
    return f"h/{tenant.hex()}/{lineage.hex()}/{kind and kind + '-'}"


def parse_statement_key(key: str) -> tuple[str, int, bytes] | None:
    """Kind, sequence number of the point and tag of a name below ``h/``; None for any other name."""
    match = _STATEMENT.fullmatch(key)
    return (match[1], int(match[2]), bytes.fromhex(match[3])) if match else None


def statement_key(
    tenant: bytes, lineage: bytes, kind: str, number: int, *, tag: bytes = b""
) -> str:
    """A statement: in the journal ``g/`` by its number, below ``h/`` by kind, point and tag.

    Raises:
        IntegrityError: there is no such kind, or number or tag do not fit it.
    """
    journal = kind in JOURNAL_KINDS
    if not journal and kind not in STATEMENT_KINDS:
        raise IntegrityError("a statement of an unknown kind")
    if not 1 <= number <= MAX_SEQ or len(tag) != (0 if journal else TAG_BYTES):
        raise IntegrityError(f"a {kind} has an impossible number or tag")
    if journal:
        return f"{journal_folder(tenant, lineage)}{number}"
    return f"{statement_folder(tenant, lineage, kind)}{number:010d}-{tag.hex()}"


def public_key(tenant: bytes, lineage: bytes, generation: int) -> str:
    """The signed public half of a generation."""
    return f"{key_folder(tenant, lineage)}{generation}.pub"


def slot_prefix(
    tenant: bytes, lineage: bytes, generation: int, *, slot: str, metadata: bool
) -> str:
    """Prefix of the numbered wrappings of one secret for one holder."""
    kind = "m" if metadata else ""
    return f"{key_folder(tenant, lineage)}{kind}{generation}.{slot}."


def slot_number(key: str, prefix: str) -> int | None:
    """Number of a slot below *prefix*; None for any other name."""
    match = _SLOT.fullmatch(key[len(prefix) :]) if key.startswith(prefix) else None
    return int(match[1]) if match else None
