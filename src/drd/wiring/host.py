"""What a host keeps of a repository beside the configuration: catalogue, diary, and whom it was opened for.

All of it is a cache or a diary; nothing here asks a key, the bucket or a source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from drd.catalogue.catalogue import SqliteCatalogue
from drd.catalogue.diary import SqliteDiary
from drd.catalogue.spare import SpareCatalogue
from drd.config import Config
from drd.errors import ConfigError
from drd.model import Damage, Head, Proven
from drd.wiring.place import Place
from drd.wiring.reach import Reach
from drd.wiring.state import try_folder


class HostState:
    """One folder for each address of a repository; ``warnings`` gathers what was strange."""

    def __init__(self, config: Config | None, reach: Reach | None = None) -> None:
        self.config = config
        self._reach = reach
        self.warnings: list[str] = []
        self._catalogue: SqliteCatalogue | None = None
        self._spare: SpareCatalogue | None = None
        self._diary: SqliteDiary | None = None

    def need_config(self) -> Config:
        """The configuration, for verbs that cannot do without."""
        if self.config is None:
            raise ConfigError(
                "this needs a configuration", hint="name one with --config FILE or DRD_CONFIG"
            )
        return self.config

    def close_state(self) -> None:
        """Close the files."""
        for file in (self._catalogue, self._spare, self._diary):
            if file is not None:
                file.close()

    def _state(self) -> Path:
        """Where state of the repository lies: one folder for each address."""
        config = self.need_config()
        url = self._reach.url if self._reach is not None else config.repository.url
        # Two addresses may differ in other characters than letters and digits alone.
        name = "".join(char if char.isalnum() else "-" for char in url)[-80:]
        return config.state_dir / f"{name}-{sha256(url.encode()).hexdigest()[:8]}"

    def catalogue(self) -> SqliteCatalogue:
        """The local cache of what the bucket holds, for the verb that is about it.

        Raises:
            ConfigError: it cannot be opened; so does each of its methods when it cannot be used.
        """
        if self._catalogue is None:
            self._catalogue = SqliteCatalogue(self._catalogue_file())
            if self._catalogue.lost:
                self._warn(self._catalogue.lost)
        return self._catalogue

    def spare_catalogue(self) -> SpareCatalogue | None:
        """The catalogue, for verbs that can do without: what it cannot do becomes a warning.

        None where nothing is kept: without a configuration.
        """
        return None if self.config is None else self.known_here()

    def known_here(self) -> SpareCatalogue:
        """The catalogue, of a house that has a configuration."""
        if self._spare is None:
            path = self._catalogue_file()
            self._spare = SpareCatalogue(path, self._warn)
        return self._spare

    def diary(self) -> SqliteDiary:
        """What this host alone knows; a damaged file is begun anew, with a warning.

        Raises:
            ConfigError: it cannot be opened; so does each of its methods when it cannot be used.
        """
        if self._diary is None:
            self._diary = SqliteDiary(self._catalogue_file(), self._warn)
        return self._diary

    def knowledge(self) -> tuple[SqliteCatalogue, SqliteDiary]:
        """Catalogue and diary as they are now, only to be read: nothing is made, moved or mended.

        Raises:
            NotFoundError: there is no file.
            ConfigError: it cannot be read.
        """
        if self._catalogue is None or self._diary is None:
            file = self._catalogue_file()
            self._catalogue = SqliteCatalogue(file, reading=True)
            self._diary = SqliteDiary(file, self._warn, reading=True)
        return self._catalogue, self._diary

    def newest(self) -> Sequence[Head]:
        """The newest points of this repository's tenant; none before it was opened here. Asks no key."""
        tenant = self.tenant()
        return self.catalogue().heads(tenant) if tenant is not None else []

    def proofs(self) -> tuple[Sequence[Proven], Mapping[bytes, Damage]]:
        """What verifies found, as it is known on this host. Asks no key."""
        tenant, catalogue = self.tenant(), self.catalogue()
        if tenant is None:
            return [], {}
        return catalogue.proven(tenant), catalogue.damages(tenant)

    def tenant(self) -> bytes | None:
        """For whom the repository was last opened on this host; None when it never was. Asks no key."""
        return self.place_at(self.need_config().repository.url).tenant

    def place_at(self, url: str) -> Place:
        """What this host remembers of the repository's address, which is told as *url*."""
        return Place(self._state() / "repository", url)

    def _warn(self, text: str) -> None:
        self.warnings.append(text)  # the list of now: an open repository brings its own

    def try_state(self) -> None:
        """Use the state folder as a backup does, and open the catalogue.

        Raises:
            ConfigError: something cannot be written, or is in the way.
        """
        for folder in (self.need_config().state_dir / "leases", self._state()):
            try_folder(folder)
        self.catalogue()

    def _catalogue_file(self) -> Path:
        return self._state() / "catalogue.sqlite"
