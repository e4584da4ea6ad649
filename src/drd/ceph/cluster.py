"""One connection to a Ceph cluster: made when first needed, renewed after a blocklist, closed at exit."""

from __future__ import annotations

import errno
import math
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drd.ceph.bindings import Bindings, bindings
from drd.ceph.bounded import bounded
from drd.ceph.errors import BLOCKLISTED, as_drd, code_of, foreign, translated
from drd.errors import ConfigError, NotFoundError, SourceError


@dataclass(frozen=True, slots=True)
class CephAccess:
    """How to reach a cluster. Times are seconds.

    ``client`` is the full name, ``client.backup``; ``keyring`` is a path, None for what ceph.conf
    says. Ceph's own default is to wait for ever; a backup that waits for ever is missing and says
    nothing.
    """

    conf: str = "/etc/ceph/ceph.conf"
    client: str = "client.admin"
    keyring: str | None = None
    osd_timeout_s: float = 60.0
    mon_timeout_s: float = 30.0
    mount_timeout_s: float = 30.0
    snapshot_timeout_s: float = 60.0

    @property
    def wait_s(self) -> float:
        """How long a whole call may take: librbd makes several requests for one call of ours."""
        return 2.0 * self.osd_timeout_s + 5.0


class Cluster:
    """A lazily made, shared connection. Callable from several threads."""

    def __init__(self, access: CephAccess) -> None:
        self.access = access
        self._lock = threading.Lock()
        self._handle: Any = None
        self._closing: weakref.finalize | None = None  # type: ignore[type-arg]
        self._shut_out = False

    @property
    def ceph(self) -> Bindings:
        """The bindings; ``SourceError`` when they are not installed."""
        return bindings()

    def handle(self) -> Any:
        """The connected ``rados.Rados``.

        Raises:
            ConfigError: ceph.conf or keyring cannot be read.
            SourceError: the cluster cannot be reached, or refuses the client.
        """
        with self._lock:
            if self._shut_out:
                self._drop()
            if self._handle is None:
                self._handle = _connect(self.ceph, self.access)
                # librados aborts the process when it is unloaded with a connection open.
                self._closing = weakref.finalize(self, self._handle.shutdown)
            return self._handle

    def close(self) -> None:
        """Leave the cluster."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        if self._closing is not None:
            self._closing()
        self._handle, self._closing, self._shut_out = None, None, False

    @contextmanager
    def calls(self, *, about: str, missing: str = "no such image") -> Iterator[None]:
        """Translate what the bindings raise; remember when the cluster has shut us out."""
        try:
            yield
        except foreign(self.ceph) as error:
            self._shut_out |= code_of(error) == BLOCKLISTED
            raise as_drd(error, about=about, missing=missing) from error

    def fsid(self) -> str:
        """The identity of the cluster."""
        handle = self.handle()
        with self.calls(about=self.access.conf):
            return str(handle.get_fsid())

    def pool_id(self, pool: str) -> int:
        """The number of a pool; ``NotFoundError`` when there is none of that name."""
        handle = self.handle()
        with self.calls(about=pool, missing="no such pool"):
            number = handle.pool_lookup(pool)
        if number is None:
            raise NotFoundError(
                "no such pool", about=pool, hint="list them with `ceph osd lspools`"
            )
        return int(number)

    def pool_name(self, number: int) -> str:
        """The name of pool *number*."""
        handle = self.handle()
        with self.calls(about=f"pool {number}", missing="no such pool"):
            name = handle.pool_reverse_lookup(number)
        if name is None:
            raise NotFoundError("no such pool", about=f"pool {number}")
        return str(name)

    @contextmanager
    def pool(self, name: str, namespace: str = "") -> Iterator[Any]:
        """An open ``rados.Ioctx`` of a pool (and namespace, which must exist).

        Raises:
            NotFoundError: no such pool or namespace.
        """
        handle = self.handle()
        where = f"{name}/{namespace}" if namespace else name
        with self.calls(about=name, missing="no such pool"):
            ioctx = handle.open_ioctx(name)
        try:
            if namespace:
                with self.calls(about=where, missing="no such namespace"):
                    exists = self.ceph.rbd.RBD().namespace_exists(ioctx, namespace)
                if not exists:
                    raise NotFoundError(
                        "no such namespace",
                        about=where,
                        hint=f"list them with `rbd namespace ls {name}`",
                    )
                ioctx.set_namespace(namespace)
            yield ioctx
        finally:
            ioctx.close()

    @contextmanager
    def image(
        self, ioctx: Any, image_id: str, *, about: str, read_only: bool = True
    ) -> Iterator[Any]:
        """Open an image by its id, which neither a rename nor a new image of its name can change."""
        with self.calls(about=about):
            image = self.ceph.rbd.Image(ioctx, image_id=image_id, read_only=read_only)
        try:
            yield image
        finally:
            with self.calls(about=about):
                image.close()


def _connect(ceph: Bindings, access: CephAccess) -> Any:
    """A new connection with every wait bounded."""
    for path, what in ((access.conf, "ceph.conf"), (access.keyring, "keyring")):
        if path is not None:
            _must_be_readable(path, what)
    about = f"{access.client} by {access.conf}"
    with translated(ceph, about=about):
        handle = ceph.rados.Rados(name=access.client, conffile=access.conf)
        for option, value in _options(access).items():
            handle.conf_set(option, value)
    try:
        with translated(ceph, about=about, missing="no usable keyring for this client"):
            bounded(handle.connect, access.mount_timeout_s + access.mon_timeout_s)
    except NotFoundError as error:  # ENOENT of connect is the keyring's, not an image's
        raise SourceError(
            error.message, about=about, hint="set `keyring`, or name one in ceph.conf"
        ) from error
    except TimeoutError as error:
        raise as_drd(OSError(errno.ETIMEDOUT, ""), about=about) from error
    return handle


def _options(access: CephAccess) -> dict[str, str]:
    """Options of the client; names and meaning: src/common/options/{global,rbd}.yaml.in."""
    options = {
        "client_mount_timeout": str(math.ceil(access.mount_timeout_s)),
        "rados_osd_op_timeout": str(math.ceil(access.osd_timeout_s)),
        "rados_mon_op_timeout": str(math.ceil(access.mon_timeout_s)),
        "rbd_concurrent_management_ops": "20",
        "log_to_stderr": "false",
        "err_to_stderr": "false",
    }
    if access.keyring is not None:
        options["keyring"] = access.keyring
    return options


def _must_be_readable(path: str, what: str) -> None:
    """Ceph's own message for a missing file does not name it."""
    try:
        with Path(path).open("rb"):
            return
    except OSError as error:
        raise ConfigError(
            f"{what} cannot be read: {error.strerror}",
            about=path,
            hint="correct the path in drd's configuration, or the file's permissions",
        ) from error
