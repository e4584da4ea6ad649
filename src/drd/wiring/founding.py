"""A new repository: keys, sheet, then the repository itself, wired from a configuration."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from shlex import quote

from drd.core import hybrid, seal
from drd.core.sheet import Sheet
from drd.errors import DrdError, RefusedError
from drd.keys.keyfile import Belonging, make_key_file, write_key_file
from drd.keys.paper import write_sheet
from drd.keys.recovery import RootSigner
from drd.wiring import House
from drd.wiring.clock import now
from drd.work.init import NewRepository, check_able, check_empty, init


@dataclass(frozen=True, slots=True)
class Made:
    """What ``init`` made: ids and the root's fingerprint, raw bytes."""

    repository: bytes
    tenant: bytes
    root_fingerprint: bytes


def make_repository(house: House, sheet_path: Path, *, recovery: bool) -> Made:
    """Make keys, sheet and repository, in that order: never a repository without its keys.

    Raises:
        RefusedError: key file, sheet or repository are there already, or the store is not fit.
    """
    config = house.need_config()
    place = house.place_at(config.repository.url)
    if place.known:  # before anything is made: an unmounted disk leaves an empty folder, or none
        place.refuse_another(house.first_contact())
    check_empty(house.first_contact(make=True))
    store = house.store(cached=False)
    check_able(store)
    root_private = os.urandom(32)
    root = RootSigner(root_private)
    private = os.urandom(hybrid.SEED_BYTES) if recovery else None
    fingerprint = seal.sha256(root.public)
    belonging = Belonging(
        repository=os.urandom(16),
        tenant=os.urandom(16),
        root_fingerprint=fingerprint,
        recovery_public=hybrid.public_of(private) if private else None,
    )
    keys = make_key_file(belonging, os.urandom)
    s3 = config.repository.s3
    sheet = Sheet(
        address=config.repository.url,
        repository=belonging.repository,
        root_fingerprint=fingerprint,
        recovery_private=private,
        root_private=root_private,
        endpoint=s3.endpoint if s3 else "",
        region=s3.region if s3 else "",
    )
    made_at = now()
    with _blaming_an_unfinished_init(config.repository.url, config.keys.file, sheet_path):
        write_key_file(config.keys.file, keys)
        try:
            write_sheet(sheet_path, sheet, made_at=made_at)
        except DrdError:
            config.keys.file.unlink()  # it opens nothing yet, and would stand in the way of the next
            raise
    hosts: dict[bytes, tuple[str, ...]] = {
        public: (role,) for role, public in keys.signing_keys.items()
    }
    new = NewRepository(
        repository=belonging.repository,
        tenant=belonging.tenant,
        root=root.public,
        sign=root.sign,
        hosts=hosts,
        recovery=belonging.recovery_public,
        reader=reader_bytes(),
        now=made_at,
    )
    init(store, new)
    return Made(belonging.repository, belonging.tenant, fingerprint)


@contextmanager
def _blaming_an_unfinished_init(url: str, *paths: Path) -> Iterator[None]:
    """Say how to know whether the files in the way are needed: there is no repository at *url*."""
    before = [quote(str(path)) for path in paths if path.exists()]
    try:
        yield
    except RefusedError as error:
        error.hint = (
            f"no repository is at {url}: unless one at another address uses it, this is what an init "
            f"left that did not end; move it away ({', '.join(before)}) and run init again"
        )
        raise


def reader_bytes() -> bytes:
    """The stand-alone reader, as shipped with this version."""
    shipped = files("drd") / "drd_reader.py"
    if shipped.is_file():
        return shipped.read_bytes()
    # An editable checkout: the wheel's build copies the file, a checkout has it at its own place.
    return (Path(__file__).parents[3] / "reader" / "drd_reader.py").read_bytes()
