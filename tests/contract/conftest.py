"""Every store that drd can stand on, each with a bucket or directory of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from drd.core.address import S3Address
from drd.ports import Store
from drd.stores.cached import CachedStore
from drd.stores.local import LocalStore
from drd.stores.metered import MeteredStore
from drd.stores.retrying import RetryingStore
from drd.stores.s3 import S3Settings, S3Store
from drd.stores.s3_client import connect
from drd.testing.stores import FaultyStore, MemoryStore


class S3Server(Protocol):
    """What the fixtures ``minio`` and ``rgw`` are."""

    endpoint: str
    access: str
    secret: str

    def fresh_bucket(self, *, versioned: bool = True, lock: bool = False) -> str:
        """Make a bucket and return its name."""
        ...


def settings_of(server: S3Server) -> S3Settings:
    return S3Settings(server.endpoint, server.access, server.secret)


@dataclass
class MotoServer:
    """Moto on a port of the loopback: quick, and never the only proof."""

    endpoint: str
    access: str = "moto"
    secret: str = "moto"
    made: int = 0

    def fresh_bucket(self, *, versioned: bool = True, lock: bool = False) -> str:
        self.made += 1
        name = f"moto-{self.made}"
        client = connect(settings_of(self))
        client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=lock)
        if versioned:
            client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name


@pytest.fixture(scope="session")
def moto() -> Iterator[MotoServer]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield MotoServer(f"http://{host}:{port}")
    server.stop()


@dataclass(frozen=True)
class Subject:
    """A store under test; *mark* puts a delete marker over a key, where there are such things."""

    store: Store
    mark: Callable[[str], None] | None = None


def _s3(server: S3Server, *, versioned: bool, prefix: str = "") -> Subject:
    bucket = server.fresh_bucket(versioned=versioned)
    store = S3Store(S3Address(bucket, prefix), settings_of(server))
    raw = connect(settings_of(server))

    def mark(key: str) -> None:
        raw.delete_object(Bucket=bucket, Key=f"{prefix}/{key}" if prefix else key)

    return Subject(store, mark if versioned else None)


def _memory(*, versioned: bool = True, conditional: bool = True) -> Subject:
    store = MemoryStore(versioned=versioned, conditional=conditional)
    return Subject(store, store.mark_deleted if versioned else None)


def _stack(folder: Path) -> Subject:
    """All wrappers as they are stacked, over a store that fails every now and then."""
    inner = MemoryStore()
    faulty = FaultyStore(inner, "ok timeout ok 503 ok " * 5, reads="503 timeout ok ok " * 5)
    retrying = RetryingStore(faulty, wait=lambda _: False)
    return Subject(CachedStore(MeteredStore(retrying), folder), inner.mark_deleted)


SUBJECTS = [
    "memory",
    "memory-unversioned",
    "memory-unconditional",
    "stack",
    "local",
    "moto",
    "moto-unversioned",
    "minio",
    "minio-prefix",
    "minio-unversioned",
    "rgw",
    "rgw-unversioned",
]


@pytest.fixture(scope="session", params=SUBJECTS)
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    name, _, variant = str(request.param).partition("-")
    match name:
        case "memory":
            return _memory(
                versioned=variant != "unversioned", conditional=variant != "unconditional"
            )
        case "stack":
            return _stack(tmp_path_factory.mktemp("cache"))
        case "local":
            return Subject(LocalStore(tmp_path_factory.mktemp("local")))
        case _:
            return _s3(
                request.getfixturevalue(name),
                versioned=variant != "unversioned",
                prefix="deep/site-a" if variant == "prefix" else "",
            )
