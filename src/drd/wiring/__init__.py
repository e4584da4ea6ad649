"""The only room that names concrete adapters: from a configuration to objects, and the real clock.

A :class:`House` is made once per command. Everything in it is made when first asked for, and what is
slow to load and of use to few verbs is imported there, so that a verb pays only for what it uses.
"""

from __future__ import annotations

import gc
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from drd import __version__
from drd.config import Config, RbdSource, key_credential, load_config
from drd.core.address import FileAddress, parse_address
from drd.errors import (
    ConfigError,
    IntegrityError,
    KeyAccessError,
    NotFoundError,
    PlaceMissingError,
    RefusedError,
    StoreError,
)
from drd.model import Found, Json, Role
from drd.ports import KeyRing, Lease, Moved, Report, Source, Store
from drd.wiring.clock import now
from drd.wiring.gates import Gates, limit_by_hand
from drd.wiring.host import HostState
from drd.wiring.place import Place, blame_format
from drd.wiring.reach import Asked, Reach, reach_of, s3_settings

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from drd.stores.metered import MeteredStore
    from drd.stores.retrying import Patience
    from drd.work.bench import Bench
    from drd.work.held import Needs
    from drd.work.repository import Repository
    from drd.work.restore import Hands
    from drd.work.verify import Eyes

DEFAULT_CONFIG: Final = Path("/etc/drd/drd.toml")
FIRST_KNOCKS: Final = 6
FIRST_CONTACT_S: Final = 15.0
"""How often and how long to knock before anything has begun: somebody who mistyped an address waits for
it. Later the store has answered once, and what fails then is worth more patience."""
GARBAGE_AFTER: Final = 10_000
"""So many new objects until the collector looks at the young ones; Python's own 700 is for scripts."""
LEAST_PACKS: Final = 4
"""Packs sealed or under way at a time, at least: half as many as transfers are allowed, because each
holds 32 MiB, the larger part of a backup's memory."""


def config_path(given: str | None, environment: Mapping[str, str]) -> Path:
    """Which file: ``--config``, else ``DRD_CONFIG``, else the system's."""
    return Path(given or environment.get("DRD_CONFIG") or DEFAULT_CONFIG)


@runtime_checkable
class _Connected(Protocol):
    """What holds a connection: left to the end of the process, librados may abort it."""

    def close(self) -> None:
        """End the connection."""
        ...


@runtime_checkable
class _Policied(Protocol):
    """A source whose images may name a policy themselves."""

    def policies(self, found: Sequence[Found]) -> Mapping[str, str]:
        """The policy that each image names, by identity."""
        ...


@runtime_checkable
class _Doubting(Protocol):
    """A source that can say what it is not sure of."""

    def doubts(self) -> Sequence[str]:
        """A sentence each."""
        ...


class House(HostState):
    """Everything a verb needs, from *config*; or from a *sheet* and a *reach*, which then goes before
    what *config* says of the repository.
    """

    def __init__(
        self,
        config: Config | None,
        *,
        sheet: Path | None = None,
        reach: Reach | None = None,
        report: Report | None = None,
        stopping: Callable[[], bool] = bool,
        moved: Moved = lambda: None,
    ) -> None:
        super().__init__(config, reach)
        self._stopping = stopping
        self._sheet = sheet
        self.report: Report = report or (lambda _progress: None)
        self.moved = moved
        """Hears that bytes go to the store or come from it."""
        self._closing = Event()
        self.gates = Gates(lambda: stopping() or self._closing.is_set(), self.report)
        self._closers: list[Callable[[], None]] = []
        self._bare: Store | None = None
        self._metered: MeteredStore | None = None
        self._pools: list[ThreadPoolExecutor] = []
        self._sources: dict[str, Source] = {}
        self._leases: dict[str, Lease] = {}
        self.run = ""
        """Id of the daemon's run that this house serves: others read it where a lease is held."""

    def close(self) -> None:
        """Let go of threads, files and connections; nobody waits on for a store that does not answer."""
        self._closing.set()
        for (
            close
        ) in self._closers:  # first: waiting for the rest may be cut short by a second Ctrl-C
            close()
        for pool in self._pools:
            pool.shutdown(wait=True, cancel_futures=True)
        self.close_state()
        for one in (*self._sources.values(), *self._leases.values()):
            if isinstance(one, _Connected):  # last: a cluster may be slow to be left
                one.close()

    def wait(self, seconds: float) -> bool:
        """Wait; True when the house is closed meanwhile."""
        return self._closing.wait(seconds)

    def closes(self, close: Callable[[], None]) -> None:
        """Call *close* when the house is closed: for what a door brought along."""
        self._closers.append(close)

    # ── stores ────────────────────────────────────────────────────────────────────────────────
    def store(self, *, cached: bool = True) -> Store:
        """The repository's store: retried, metered, and with a cache of tables where asked for."""
        if self._metered is None:
            from drd.stores.metered import MeteredStore  # noqa: PLC0415 - drctl status asks no store
            from drd.stores.retrying import RetryingStore  # noqa: PLC0415

            retrying = RetryingStore(
                self._bare_store(), patience=self._patience(), wait=self._closing.wait
            )
            self._metered = MeteredStore(retrying, self.moved)
        if not cached or self.config is None:
            return self._metered
        from drd.stores.cached import CachedStore  # noqa: PLC0415

        return CachedStore(self._metered, self._state() / "tables", warn=self._warn)

    def uploads(self) -> tuple[int, int]:
        """Objects and bytes put so far."""
        if self._metered is None:
            return 0, 0
        traffic = self._metered.traffic
        return traffic.puts, traffic.bytes_put

    def first_contact(self, *, make: bool = False) -> Store:
        """The store for its first requests: soon at its wits' end. *make*: a folder may be new."""
        from drd.stores.retrying import Patience, RetryingStore  # noqa: PLC0415

        total_s = min(FIRST_CONTACT_S, self._patience().total_s)
        patience = Patience(attempts=FIRST_KNOCKS, total_s=total_s)
        return RetryingStore(self._bare_store(make=make), patience=patience)

    def _patience(self) -> Patience:
        """How long to try again once the store has answered."""
        from drd.stores.retrying import Patience  # noqa: PLC0415

        s3 = self.config.repository.s3 if self.config else None
        return Patience(total_s=s3.patience_s) if s3 else Patience()

    def _bare_store(self, *, make: bool = False) -> Store:
        if self._bare is None:
            self._bare = self._make_store(make=make)
        return self._bare

    def _make_store(self, *, make: bool) -> Store:
        if self._reach is not None:
            return self._reach.store()
        repository = self.need_config().repository
        address = parse_address(repository.url)
        if isinstance(address, FileAddress):
            from drd.stores.local import LocalStore  # noqa: PLC0415

            return LocalStore(Path(address.path), make=make)
        s3 = repository.s3
        if s3 is None:
            raise ConfigError("an s3:// repository needs [repository.s3]", about=repository.url)
        from drd.stores.s3 import S3Store  # noqa: PLC0415

        settings = s3_settings(s3, s3, table="repository.s3")
        return S3Store(address, settings, moved=self.moved)

    @property
    def by_sheet(self) -> bool:
        """Whether the keys are those of a sheet, which sign for no host."""
        return self._sheet is not None

    # ── keys and repository ───────────────────────────────────────────────────────────────────
    def ring(self, role: Role) -> KeyRing:
        """The keys: the sheet when one is given, else the key file."""
        from drd.keys.opening import open_key, open_sheet  # noqa: PLC0415 - drctl status opens none

        if self._sheet is not None:
            return open_sheet(self._sheet, role)
        keys = self.need_config().keys
        given = key_credential(keys, os.environ)
        path = given or keys.file
        try:
            return open_key(path, role, age_recipients=keys.recovery, credential=given is not None)
        except KeyAccessError as error:
            if not path.exists() and not self.place_at("").known:
                error.hint = (
                    "'drctl init' makes it, and a new repository; of a repository that is there "
                    "already bring the key file, or restore with --sheet"
                )
            raise

    def repository(self, role: Role, *, cached: bool = True) -> Repository:
        """The open repository.

        Raises:
            NotFoundError: there is none at this address.
            KeyAccessError: the keys are missing, or another repository's.
            RefusedError: another repository is in its place, or a newer format.
            StoreError: the store does not answer, or refuses.
        """
        from drd.work.repository import open_repository  # noqa: PLC0415

        ring = self.ring(role)
        place = self._place()
        try:
            opened = open_repository(self.first_contact(), ring)
        except NotFoundError as error:
            known = place is not None and place.known
            blame_format(self.first_contact(), ring, error, known=known)
            if place is not None:
                place.blame_absence(error)
            raise
        except PlaceMissingError as error:
            error.about = self._whole(error.about)
            if place is not None:
                place.blame_absence(error)
            raise
        except RefusedError as error:
            error.about = self._whole(error.about)
            if place is not None:
                place.blame_keys(self.first_contact(), ring, error)
            raise
        except (IntegrityError, StoreError) as error:
            error.about = self._whole(error.about)
            raise
        if place is not None:
            place.remember(opened.format.repository, opened.tenant)
        opened.warnings[:0] = self.warnings
        self.warnings = opened.warnings
        return replace(opened, store=self.store(cached=cached))

    def _place(self) -> Place | None:
        """What is remembered of this address; None on a host that keeps no state."""
        if self.config is None:
            return None
        return self.place_at(self.store().url)

    def _whole(self, about: str) -> str:
        """What a failed first request was about: a prefix alone tells an operator nothing."""
        url = self.store().url
        return about if url in about else f"{url} ({about})" if about else url

    # ── sources ───────────────────────────────────────────────────────────────────────────────
    def source(self, name: str) -> Source:
        """One source by the name of its section.

        Raises:
            NotFoundError: the configuration has no such section.
        """
        known = self.need_config().source
        if name not in known:
            raise NotFoundError(
                "the configuration has no such source",
                about=name,
                hint=f"known: {', '.join(sorted(known)) or 'none'}",
            )
        if name not in self._sources:
            from drd.wiring.adapters import make_source  # noqa: PLC0415

            self._sources[name] = make_source(name, known[name], self.gates.gate(name, known[name]))
        return self._sources[name]

    def lease(self, name: str) -> Lease:
        """Where the leases of the source *name* are kept."""
        if name not in self._leases:
            from drd.wiring.adapters import make_lease  # noqa: PLC0415

            config = self.need_config()
            self._leases[name] = make_lease(config, config.source[name], run=self.run)
        return self._leases[name]

    def shares_leases(self, name: str) -> bool:
        """Whether leases of the source *name* lie where other nodes see them."""
        from drd.leases.local import LocalLease  # noqa: PLC0415

        return not isinstance(self.lease(name), LocalLease)

    def try_lease(self, name: str) -> None:
        """Take a lease that nobody else wants, where those of the source *name* lie, and give it back.

        Raises:
            ConfigError: the pool cannot keep leases.
            NotFoundError: there is no such pool.
            SourceError: the cluster does not answer, or refuses.
        """
        with self.lease(name).hold(f"doctor.{os.urandom(8).hex()}") as held:
            held.check()

    def sources(self) -> list[Source]:
        """All sources of the configuration."""
        return [self.source(name) for name in sorted(self.need_config().source)]

    def policies(self, source: Source, found: Sequence[Found]) -> Mapping[str, str]:
        """What the images of a source say of their policy themselves."""
        return source.policies(found) if isinstance(source, _Policied) else {}

    def limit_by_hand(self, source: Source, found: Found) -> None:
        """Read *found* no faster than policy, source and node allow: for a run that no daemon began."""
        config = self.need_config()
        policy = config.source[source.name].policy or ""
        if any(
            one.limits for one in config.policy.values()
        ):  # else what the image says is all the same
            policy = self.policies(source, [found]).get(found.identity) or policy
        self.gates.limit(limit_by_hand(config, source.name, policy))

    def doubts(self, name: str) -> list[str]:
        """What a source says of the change lists of its images, and of paths that lead nowhere."""
        source = self.source(name)
        return list(source.doubts()) if isinstance(source, _Doubting) else []

    # ── hands ─────────────────────────────────────────────────────────────────────────────────
    def settle_in(self) -> None:
        """Before long work: what was loaded until now stays, so the collector need not look at it again
        and again (3 % of the processor time of a backup and a restore).
        """
        gc.freeze()
        gc.set_threshold(GARBAGE_AFTER)

    def _pool(self, threads: int, name: str) -> ThreadPoolExecutor:
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

        pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._pools.append(pool)
        return pool

    def workers(self) -> int:
        """Threads that compute."""
        chosen = self.config.pack.workers if self.config else None
        return chosen or os.cpu_count() or 1

    def transfers(self) -> int:
        """Requests under way at a time."""
        s3 = self.config.repository.s3 if self.config else None
        return s3.transfers if s3 else 8

    def _packs(self) -> int:
        """Packs under way at a time."""
        return max(LEAST_PACKS, self.transfers() // 2)

    def bench(self, repository: Repository) -> Bench:
        """With what a backup works."""
        from drd.leases.local import LocalLease  # noqa: PLC0415
        from drd.work.bench import Bench, Knobs  # noqa: PLC0415

        self.settle_in()
        config = self.need_config()
        knobs = Knobs(
            zstd_level=config.pack.zstd_level,
            frame_size=config.pack.frame_size,
            pack_size=config.pack.pack_size,
            workers=self.workers(),
            in_flight=self._packs(),
            refill=config.pack.refill,
        )
        tools: dict[str, Json] = {"drd": __version__, "python": platform.python_version()}
        return Bench(
            repository=repository,
            catalogue=self.known_here(),
            lease=LocalLease(config.state_dir / "leases"),
            cpu=self._pool(self.workers(), "drd-cpu"),
            transfers=self._pool(self._packs(), "drd-put"),
            now=now,
            random=os.urandom,
            report=self.report,
            timer=time.monotonic,
            uploads=self.uploads,
            stopping=self._stopping,
            knobs=knobs,
            tools=tools,
        )

    def tuned(self, bench: Bench, source: Source) -> Bench:
        """*bench* with what the section of *source* decides, its lease among it."""
        section = self.need_config().source[source.name]
        bench = replace(bench, promise=self.promised(section.policy), lease=self.lease(source.name))
        if not isinstance(section, RbdSource):
            return bench
        return replace(bench, knobs=replace(bench.knobs, sample_cells=section.sample_cells))

    def promised(self, policy: str | None) -> timedelta | None:
        """How long after a point the next is promised under *policy*; None when it has no RPO."""
        known = self.need_config().policy.get(policy or "")
        return timedelta(seconds=known.rpo) if known and known.rpo else None

    def store_checks(self) -> list[tuple[str, Callable[[Store], None]]]:
        """The conformance suite of stores, for ``doctor``: name and check, which may assert."""
        from drd.testing.store_conformance import CHECKS  # noqa: PLC0415 - doctor alone needs it

        return list(CHECKS)

    def needs(self) -> Needs:
        """Which snapshots the next runs need."""
        from drd.work.held import Needs  # noqa: PLC0415

        return Needs(self.repository(Role.BACKUP), self.known_here(), self.readers())

    def hands(self) -> Hands:
        """With what a restore works: many requests, because a round trip is the ceiling."""
        from drd.work.restore import Hands  # noqa: PLC0415 - other verbs do without

        self.settle_in()
        cpu = self._pool(self.workers(), "drd-cpu")
        return Hands(cpu, self.readers(), self._pool(1, "drd-check"), self.report)

    def one_thread(self, name: str) -> ThreadPoolExecutor:
        """A thread for what goes on beside the work."""
        return self._pool(1, name)

    def readers(self) -> ThreadPoolExecutor:
        """Threads that wait for the store, each for one answer."""
        return self._pool(2 * self.transfers(), "drd-get")

    def eyes(self) -> Eyes:
        """With what a verify works."""
        from drd.work.verify import Eyes  # noqa: PLC0415 - other verbs do without

        cpu = self._pool(self.workers(), "drd-cpu")
        return Eyes(cpu, self._pool(4, "drd-get"), self.report, ahead=4)


def open_house(
    given: str | None, *, asked: Asked | None = None, report: Report | None = None
) -> House:
    """The house for a command line: with a configuration where there is one.

    Args:
        given: ``--config``.
        asked: ``--sheet``, with which a configuration is not needed, and what goes with it.
        report: where progress goes.

    Raises:
        ConfigError: the configuration is wrong, or missing and needed.
        UsageError: an address is named without a sheet.
    """
    asked = asked or Asked()
    asked.check()
    path = config_path(given, os.environ)
    named = bool(given or os.environ.get("DRD_CONFIG"))
    bare = asked.sheet is not None and not named and not path.exists()
    config = None if bare else load_config(path)
    reach = reach_of(asked, config, os.environ) if bare or asked.elsewhere else None
    return House(config, sheet=asked.sheet, reach=reach, report=report)
