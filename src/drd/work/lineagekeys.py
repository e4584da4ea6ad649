"""The keys of a lineage: made once per generation, wrapped for every holder, found again by slots.

Order, and why: slots are written, read back, and (where the role can) opened, before the public half
is signed. No pack is sealed under a generation whose public half is not there. So there never is data
that nobody can open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from drd.core import hybrid, names, seal
from drd.core.coding import Reader, Writer, lp
from drd.core.manifest import decode_manifest
from drd.core.seal import Scope
from drd.core.trust import (
    GENERATION,
    SigningKey,
    check_signature,
    document_to_sign,
    encode_body,
    encode_document,
    hex_field,
    may_sign,
    number_field,
    when_field,
)
from drd.errors import IntegrityError, KeyAccessError, ObjectExistsError, RefusedError
from drd.model import ID_BYTES, KEY_BYTES, Json
from drd.ports import Random, Store
from drd.work.once import put_once
from drd.work.repository import Repository

SLOT_MAGIC = b"drd1slot"


@dataclass(frozen=True, slots=True)
class Generation:
    """The public side of one generation of a lineage's keys.

    ``seals`` is False where its signer was revoked, and no good point stands under it: what there is
    of it can be opened, and nothing new is sealed to it.
    """

    number: int
    public: bytes
    metadata_check: bytes
    seals: bool = True

    @property
    def public_hash(self) -> bytes:
        """SHA-256 of the public half, as it stands in pack headers."""
        return seal.sha256(self.public)


@dataclass(slots=True)
class LineageKeys:
    """What this process can open of one lineage; secrets are fetched when first asked for."""

    repository: Repository
    scope: Scope
    generations: dict[int, Generation]
    slots: dict[str, list[int]]
    _metadata: dict[int, bytes] = field(default_factory=dict)
    _private: dict[int, bytes] = field(default_factory=dict)
    _shut: dict[tuple[int, bool], KeyAccessError] = field(default_factory=dict)

    @property
    def current(self) -> Generation:
        """The newest generation to which new data may be sealed.

        Raises:
            RefusedError: whoever made them has lost the right to.
        """
        sealing = [number for number, one in self.generations.items() if one.seals]
        if not sealing:
            raise RefusedError(
                "the keys of this lineage were made by a host whose signing key is revoked",
                about=self.scope.lineage.hex(),
                hint="nothing was written, old points still open; put back the last good point that "
                "trust names for this lineage, or back up into a new repository",
            )
        return self.generations[max(sealing)]

    def metadata(self, generation: int) -> bytes:
        """The metadata key of *generation*.

        Raises:
            KeyAccessError: no slot opens with the keys at hand.
        """
        if generation not in self._metadata:
            known = self._known(generation)

            def fits(secret: bytes) -> bool:
                return metadata_check(secret) == known.metadata_check

            ring = self.repository.ring
            self._metadata[generation] = self._open(
                generation, ring.metadata_slots(), fits, metadata=True
            )
        return self._metadata[generation]

    def private(self, generation: int) -> bytes:
        """The private half of *generation*: for the verify and restore roles.

        Raises:
            KeyAccessError: the role may not, or no slot opens with the keys at hand.
        """
        if generation not in self._private:
            known = self._known(generation)

            def fits(secret: bytes) -> bool:
                return len(secret) == hybrid.SEED_BYTES and (
                    hybrid.public_of(secret) == known.public
                )

            ring = self.repository.ring
            self._private[generation] = self._open(
                generation, ring.generation_slots(), fits, metadata=False
            )
        return self._private[generation]

    def lacking(self) -> list[str]:
        """A sentence for each slot that a holder should have and the listing does not: by names alone,
        so that who must open nothing finds it, too.
        """
        holders = self.repository.ring.holders()
        wanted = [
            (number, holder.slot, self._prefix(number, holder.slot, metadata=metadata))
            for number in sorted(self.generations)
            for holder in holders
            for metadata in (False, True)
        ]
        return [
            f"key slot {prefix}1 is missing: {slot} cannot open generation {number} of this lineage; "
            "if it was there, put it back (an older version, or from a copy); a holder that was named "
            "later has none"
            for number, slot, prefix in wanted
            if not self.slots.get(prefix)
        ]

    def _prefix(self, generation: int, slot: str, *, metadata: bool) -> str:
        scope = self.scope
        return names.slot_prefix(
            scope.tenant, scope.lineage, generation, slot=slot, metadata=metadata
        )

    def _known(self, generation: int) -> Generation:
        if generation not in self.generations:
            raise IntegrityError(
                f"generation {generation} has no signed public half",
                about=self.scope.lineage.hex(),
            )
        return self.generations[generation]

    def _open(
        self,
        generation: int,
        holders: Sequence[str],
        fits: Callable[[bytes], bool],
        *,
        metadata: bool,
    ) -> bytes:
        """Try the slots of the holders at hand, newest first; take only a secret that fits.

        Of a slot every version is tried: who may only add versions must not be able to shadow it. What
        did not open is not tried again, and is one error to all who ask.
        """
        known = self._shut.get((generation, metadata))
        if known is not None:
            raise known
        repository, scope = self.repository, self.scope
        for holder in holders:
            prefix = self._prefix(generation, holder, metadata=metadata)
            context = slot_context(scope, generation, metadata=metadata)
            for number in sorted(self.slots.get(prefix, ()), reverse=True):
                for data in each_version(repository.store, f"{prefix}{number}"):
                    try:
                        wrapped = decode_slot(data, context, holder)
                        secret = repository.ring.unwrap(
                            holder, context, wrapped, generation=not metadata
                        )
                    except (IntegrityError, KeyAccessError) as error:
                        repository.warnings.append(f"slot {prefix}{number}: {error.message}")
                        continue
                    if fits(secret):
                        return secret
                    repository.warnings.append(f"slot {prefix}{number} holds another key")
        shut = self._shut[generation, metadata] = self._no_slot_opens(metadata=metadata)
        raise shut

    def _no_slot_opens(self, *, metadata: bool) -> KeyAccessError:
        repository, scope = self.repository, self.scope
        if not repository.ring.holders() and not repository.ring.metadata_slots():
            return KeyAccessError(
                "the keys at hand open no backup: this recovery sheet has no recovery key",
                about=scope.lineage.hex(),
                hint="it was made with --no-recovery, and holds the root alone: use the key file, or "
                "an age identity that the configuration named",
            )
        what = "metadata key" if metadata else "data key"
        return KeyAccessError(
            f"no slot for the {what} of this lineage opens with the keys at hand",
            about=scope.lineage.hex(),
            hint="use the key file of this repository, or the recovery sheet",
        )


def each_version(store: Store, key: str) -> Iterator[bytes]:
    """What lies under *key*: its newest version, then, where that was not enough, every other."""
    newest = store.get(key)
    yield newest
    for version in store.versions(key):
        data = store.get(key, version=version.version)
        if data != newest:
            yield data


def metadata_check(key: bytes) -> bytes:
    """What the signed public half says of the metadata key, to know it again."""
    return seal.sha256(lp(b"drd1 metadata check", key))


def slot_context(scope: Scope, generation: int, *, metadata: bool) -> bytes:
    """To what a wrapping is bound: place, generation and kind of secret."""
    kind = b"metadata" if metadata else b"generation"
    return scope.info(b"drd1 slot") + lp(generation.to_bytes(4, "big"), kind)


def encode_slot(context: bytes, holder: str, wrapped: bytes) -> bytes:
    """One slot object."""
    return bytes(Writer().raw(SLOT_MAGIC).blob(context).text(holder).blob(wrapped))


def decode_slot(data: bytes, context: bytes, holder: str) -> bytes:
    """The wrapped secret in a slot object.

    Raises:
        IntegrityError: it is damaged, or belongs elsewhere.
    """
    reader = Reader(data, "a key slot")
    reader.expect(SLOT_MAGIC, "magic")
    if reader.blob() != context or reader.text() != holder:
        raise IntegrityError("a key slot belongs elsewhere")
    wrapped = reader.blob()
    reader.end()
    return wrapped


def load_keys(repository: Repository, lineage: bytes) -> LineageKeys:
    """Find the generations and slots of *lineage*: one LIST, and one GET per generation."""
    scope = repository.scope(lineage)
    folder = names.key_folder(scope.tenant, lineage)
    generations: dict[int, Generation] = {}
    slots: dict[str, list[int]] = {}
    for listed in repository.store.list(folder):
        name = listed.key[len(folder) :]
        if name.endswith(".pub"):
            generation = _load_generation(repository, scope, listed.key)
            if generation is not None:
                generations[generation.number] = generation
            continue
        prefix = listed.key[: listed.key.rfind(".") + 1]
        number = names.slot_number(listed.key, prefix)
        if number is None:
            repository.warnings.append(f"{listed.key} is not one of drd's objects")
            continue
        slots.setdefault(prefix, []).append(number)
    return LineageKeys(repository, scope, generations, slots)


def _load_generation(repository: Repository, scope: Scope, key: str) -> Generation | None:
    """The oldest version of a public half that verifies; None (and a warning) when none does.

    The oldest: else a stolen host could sign a further version, and have data sealed to its own key.
    """
    store = repository.store
    problem = "it has no version"
    for version in store.versions(key):
        try:
            generation = _read_generation(
                store.get(key, version=version.version), repository, scope, key
            )
        except IntegrityError as error:
            problem = error.message
            continue
        if not generation.seals:
            repository.warnings.append(
                f"{key}: made by a host whose key is revoked; nothing new is sealed to it"
            )
        return generation
    repository.warnings.append(f"{key}: {problem}")
    return None


def _read_generation(data: bytes, repository: Repository, scope: Scope, key: str) -> Generation:
    signed = check_signature(data, GENERATION)
    signer = may_sign(repository.trust, signed.signer, "host", scope.tenant)
    body = signed.read().body
    _check_validity(signer, body)
    placed = Scope(
        hex_field(body, "repository", ID_BYTES),
        hex_field(body, "tenant", ID_BYTES),
        hex_field(body, "lineage", ID_BYTES),
    )
    number = number_field(body, "generation")
    if placed != scope or key != names.public_key(scope.tenant, scope.lineage, number):
        raise IntegrityError("a public key lies under another name than its own")
    public = hex_field(body, "public", hybrid.PUBLIC_BYTES)
    check = hex_field(body, "metadata_check", KEY_BYTES)
    seals = signer.revoked_at is None or number <= _vouched_for(repository, scope, signer)
    return Generation(number, public, check, seals)


def _check_validity(signer: SigningKey, body: Mapping[str, Json]) -> None:
    if signer.not_before is None and signer.not_after is None:
        return
    created = when_field(body, "created_at")
    if created is None or not signer.valid_at(created):
        raise IntegrityError("a public key was signed outside its signer's time of validity")


def _vouched_for(repository: Repository, scope: Scope, revoked: SigningKey) -> int:
    """The newest generation that the root vouches for though its maker is revoked; 0 for none.

    Trust names the last good point of a revoked key by number and SHA-256, and that point names its
    generation. A later one can be of whoever stole the key, and ``created_at`` is what he says.
    """
    if scope.lineage not in revoked.revoked:
        return 0
    seq, digest = revoked.revoked[scope.lineage]
    store, key = repository.store, names.manifest_key(scope.tenant, scope.lineage, seq)
    for version in store.versions(key):
        data = store.get(key, version=version.version)
        if seal.sha256(data) == digest:
            return decode_manifest(data).clear.generation
    return 0


def make_generation(
    repository: Repository, lineage: bytes, number: int, *, random: Random, now: datetime
) -> LineageKeys:
    """Make generation *number* of *lineage*: slots first, then the signed public half."""
    scope = repository.scope(lineage)
    private, metadata = random(hybrid.SEED_BYTES), random(KEY_BYTES)
    generation = Generation(number, hybrid.public_of(private), metadata_check(metadata))
    slots: dict[str, list[int]] = {}
    for is_metadata, secret in ((False, private), (True, metadata)):
        context = slot_context(scope, number, metadata=is_metadata)
        for holder in repository.ring.holders():
            prefix = names.slot_prefix(
                scope.tenant, lineage, number, slot=holder.slot, metadata=is_metadata
            )
            data = encode_slot(context, holder.slot, holder.wrap(context, secret))
            repository.store.put(f"{prefix}1", data)
            if repository.store.get(f"{prefix}1") != data:
                raise IntegrityError("a key slot reads back differently", about=f"{prefix}1")
            slots[prefix] = [1]
    keys = LineageKeys(repository, scope, {number: generation}, slots)
    keys.metadata(number)
    if repository.ring.generation_slots():
        keys.private(number)
    _publish(repository, scope, generation, now)
    return keys


def _publish(repository: Repository, scope: Scope, generation: Generation, now: datetime) -> None:
    body = encode_body(
        {
            "repository": scope.repository.hex(),
            "tenant": scope.tenant.hex(),
            "lineage": scope.lineage.hex(),
            "generation": generation.number,
            "public": generation.public.hex(),
            "metadata_check": generation.metadata_check.hex(),
            "created_at": now.isoformat(),
        }
    )
    signer, signature = repository.ring.sign(document_to_sign(GENERATION, body))
    key = names.public_key(scope.tenant, scope.lineage, generation.number)
    data = encode_document(GENERATION, body, signer, signature)
    try:
        put_once(repository.store, key, data)
    except ObjectExistsError as error:
        raise RefusedError("another host made this generation first", about=key) from error
