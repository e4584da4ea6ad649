"""Open packs: from the rows of a point to the key of a pack. For the verify and restore roles.

1. The epoch key is opened with the private half of its generation.
2. The pack's key and commitment are derived from it.
3. The commitment must be the one that the sealed row names, before anything is decrypted: HPKE proves
   nothing about the sender, but the row stands in a run that a signed manifest names.
"""

from __future__ import annotations

import hmac
import threading
from dataclasses import dataclass

from drd.core import hybrid, pack
from drd.core.names import pack_key
from drd.core.pack import FrameOpener
from drd.core.tables import PackRow, PackRows, PackSecret
from drd.errors import IntegrityError
from drd.work.lineagekeys import LineageKeys


@dataclass(frozen=True, slots=True)
class OpenPack:
    """A pack that can be read: its clear row, its sealed row, its key."""

    row: PackRow
    secret: PackSecret
    key: bytes
    name: str

    def opener(self) -> FrameOpener:
        """A frame opener for one thread."""
        return FrameOpener(self.key, self.secret.header_hash, self.secret.frames)


class PackKeys:
    """Keys of the packs of one point, derived when first asked for; safe for several threads."""

    def __init__(self, keys: LineageKeys, rows: PackRows) -> None:
        self._keys = keys
        self._rows = {row.ordinal: row for row in rows.rows}
        self._secrets = {secret.ordinal: secret for secret in rows.secrets}
        self._epochs = {epoch.epoch_id: epoch for epoch in rows.epochs}
        self._epoch_keys: dict[bytes, bytes] = {}
        self._open: dict[int, OpenPack] = {}
        self._lock = threading.Lock()

    def row(self, ordinal: int) -> PackRow:
        """The clear row of a pack.

        Raises:
            IntegrityError: the map points to a pack that has no row.
        """
        if ordinal not in self._rows or ordinal not in self._secrets:
            raise IntegrityError(f"pack {ordinal} is reached and has no row")
        return self._rows[ordinal]

    def name(self, ordinal: int) -> str:
        """Name of the pack's object."""
        scope = self._keys.scope
        return pack_key(scope.tenant, scope.lineage, self.row(ordinal).pack_id)

    def open(self, ordinal: int) -> OpenPack:
        """The pack's key, its commitment checked.

        Raises:
            IntegrityError: the pack was not sealed under the epoch that its row names.
            KeyAccessError: the generation cannot be opened.
        """
        with self._lock:
            found = self._open.get(ordinal)
            if found is None:
                found = self._open[ordinal] = self._derive(ordinal)
            return found

    def _derive(self, ordinal: int) -> OpenPack:
        row, scope = self.row(ordinal), self._keys.scope
        secret = self._secrets[ordinal]
        epoch_key = self._epoch_key(secret.epoch_id)
        key, commitment = pack.pack_secret(epoch_key, scope, row.pack_id)
        if not hmac.compare_digest(commitment, secret.commitment):
            raise IntegrityError(
                "a pack's commitment is not the one its row names", about=self.name(ordinal)
            )
        return OpenPack(row, secret, key, self.name(ordinal))

    def _epoch_key(self, epoch_id: bytes) -> bytes:
        if epoch_id not in self._epoch_keys:
            epoch = self._epochs[epoch_id]
            private = self._keys.private(epoch.generation)
            info = pack.epoch_info(self._keys.scope, epoch.generation, epoch_id)
            self._epoch_keys[epoch_id] = hybrid.open_with(private, info, epoch.sealed_key)
        return self._epoch_keys[epoch_id]
