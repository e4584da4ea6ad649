"""What this host remembers of an address: which repository lies there.

Keys and bucket that do not belong together have two causes that look alike: another bucket under the
same keys, or other keys for the same bucket. Whoever has been here before can tell them apart.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from drd.core import names
from drd.errors import (
    DrdError,
    IntegrityError,
    KeyAccessError,
    NotFoundError,
    PlaceMissingError,
    RefusedError,
)
from drd.ports import KeyRing, Store


@dataclass(frozen=True, slots=True)
class Place:
    """The address *url*, and the *file* with the id (hex) of the repository last opened there; beside it
    lies that of the tenant.
    """

    file: Path
    url: str

    def remember(self, repository: bytes, tenant: bytes) -> None:
        """Write down the ids; a host that cannot keep state does without."""
        with suppress(OSError):
            for file, known, found in (
                (self.file, self._known(), repository),
                (self._tenant_file, self.tenant, tenant),
            ):
                if known != found:
                    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                    file.write_text(f"{found.hex()}\n")

    @property
    def _tenant_file(self) -> Path:
        return self.file.with_name("tenant")

    @property
    def tenant(self) -> bytes | None:
        """The tenant whose keys were last used here: who holds no key asks the catalogue by it."""
        return _id_in(self._tenant_file)

    def blame_keys(self, store: Store, ring: KeyRing, refusal: DrdError) -> None:
        """Say that the keys are wrong, where they are: the bucket holds what it always held.

        Raises:
            KeyAccessError: *refusal* came of keys for another repository.
        """
        from drd.core import seal  # noqa: PLC0415 - who only asks what was remembered does without
        from drd.core.trust import FORMAT, decode_document, read_format  # noqa: PLC0415

        known = self._known()
        for listed in store.list(names.FORMAT_PREFIX) if known is not None else ():
            try:
                document = decode_document(store.get(listed.key), FORMAT)
                repository = read_format(document).repository
            except DrdError:
                continue
            if repository == known and seal.sha256(document.signer) != ring.root_fingerprint:
                raise KeyAccessError(
                    "these keys are another repository's",
                    about=self.url,
                    hint=f"it holds repository {known.hex()}, as it did before: "
                    "bring the key file or the sheet that was made for that one",
                ) from refusal

    def blame_absence(self, refusal: DrdError) -> None:
        """Name the repository that was here in *refusal*, which says that there is none: whoever forgot to
        mount a disk must not be led to a new, empty one. Does nothing where none was ever opened.
        """
        known = self._known()
        if known is not None:
            refusal.message = f"repository {known.hex()} was here, and is not here now"
            refusal.hint = "mount its disk, or put the bucket back; or correct repository.url"

    def refuse_another(self, store: Store) -> None:
        """Refuse to make a repository where this host knows one.

        Raises:
            RefusedError: it does, whether that one is here now or not.
            StoreError: the store does not answer.
        """
        from drd.work.init import check_empty  # noqa: PLC0415

        known = self._known()
        if known is None:
            return
        with suppress(PlaceMissingError):
            check_empty(store)
        raise RefusedError(
            f"repository {known.hex()} was here, and is not here now: a new one is not made in its place",
            about=self.url,
            hint="mount its disk, or put the bucket back; where a new one really is wanted, move away what "
            f"this host knows of the old one ({quote(str(self.file.parent))}) and its key file and sheet, "
            "and run init again",
        )

    @property
    def known(self) -> bool:
        """Whether a repository was ever opened here."""
        return self._known() is not None

    def _known(self) -> bytes | None:
        return _id_in(self.file)


def _id_in(file: Path) -> bytes | None:
    """The id that was written down; None when there is none, or it cannot be read."""
    try:
        return bytes.fromhex(file.read_text())
    except (OSError, ValueError):
        return None


def blame_format(store: Store, ring: KeyRing, refusal: DrdError, *, known: bool) -> None:
    """Tell a repository whose format document is gone from a place where there never was one.

    *known* says that there was one.

    Raises:
        IntegrityError: the root of these keys signed a trust document here.
        NotFoundError: it did, and nothing else is here: an init did not come to its end.
    """
    from drd.core import seal  # noqa: PLC0415
    from drd.core.trust import TRUST, decode_document  # noqa: PLC0415
    from drd.work.init import DO_IT_AGAIN, UNFINISHED  # noqa: PLC0415

    for listed in store.list(names.TRUST_PREFIX):
        try:
            document = decode_document(store.get(listed.key), TRUST)
        except DrdError:
            continue
        if ring.root_fingerprint in (None, seal.sha256(document.signer)):
            key = names.format_key(1)
            if not known and not _begun(store):
                raise NotFoundError(
                    UNFINISHED, about=f"{store.url}/{listed.key}", hint=DO_IT_AGAIN
                ) from refusal
            raise IntegrityError(
                "the repository of these keys is here, and its format document is damaged or gone",
                about=f"{store.url}/{key}",
                hint=f"put {key} back: an older version of it, or from a copy of the bucket",
            ) from refusal


def _begun(store: Store) -> bool:
    """Whether anything of a repository but its trust and its reader is here, or ever was."""
    if store.versions(names.format_key(1)):
        return True
    prefixes = (names.FORMAT_PREFIX, "m/", "p/", "x/", "k/")
    return any(True for prefix in prefixes for _ in store.list(prefix, limit=1))
