"""``check-config --online``: what a configuration names is tried: state, port, store, keys, sources.

Nothing is changed but a probe file in the state folder, which is removed again.
"""

from __future__ import annotations

import difflib
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final

from drd.config import Config, read_credentials
from drd.config.faults import Fault, KeyPath, Page
from drd.config.loading import key_lines
from drd.errors import DrdError, NotFoundError
from drd.model import Found, Role
from drd.wiring import House
from drd.wiring.rights import hindrances

PATIENCE_S: Final = 3.0
NAMED: Final = 5
"""So many images are named in one sentence, and the rest counted."""


def try_out(config: Config, text: str, path: Path) -> list[Fault]:
    """Try everything that *config* names; *text* of the file *path* says where."""
    page = Page(path, dict(key_lines(text)))
    house = House(config)
    try:
        shut = [*_tried(page, ("keys", "file"), lambda: house.ring(Role.BACKUP))]
        return [
            *_tried(page, ("state_dir",), house.try_state),
            *_metrics(config, page),
            *_textfile(config, page),
            *(shut or _tried(page, ("repository", "url"), lambda: house.repository(Role.BACKUP))),
            *_pruner(config, page),
            *_verify(house, page),
            *_sources(house, page),
        ]
    finally:
        house.close()


def _tried(page: Page, keys: KeyPath, step: Callable[[], object]) -> Iterator[Fault]:
    try:
        step()
    except DrdError as error:
        yield _fault(page, keys, error)


def _fault(page: Page, keys: KeyPath, error: DrdError) -> Fault:
    return page.error(keys, f"does not work: {error}", error.hint or error.next_step)


def _pruner(config: Config, page: Page) -> Iterator[Fault]:
    s3 = config.repository.s3
    pruner = s3.pruner if s3 else None
    if pruner is not None:
        keys = ("repository", "s3", "pruner")
        yield from _tried(
            page, keys, lambda: read_credentials(pruner, os.environ, table=".".join(keys))
        )


def _verify(house: House, page: Page) -> Iterator[Fault]:
    """What keeps the daemon from the verifies that policies want: it runs, and they fail."""
    try:
        found = list(hindrances(house))
    except DrdError:  # told with the key file, or with the repository
        return
    for one in found:
        yield page.warning(("daemon", "verify"), f"does not work: {one}", one.hint)


# ── the metrics port ────────────────────────────────────────────────────────────────────────────
def _metrics(config: Config, page: Page) -> Iterator[Fault]:
    """Taken by a drd is well: it is the one whose configuration this is, or will be."""
    if not config.daemon.metrics:
        return
    host, _, port = config.daemon.metrics.rpartition(":")
    host = host.strip("[]")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(address)
    except OSError as error:
        if not _is_drd(host, int(port)):
            yield page.error(
                ("daemon", "metrics"),
                f"is {config.daemon.metrics}, where nobody can listen now: {error.strerror}",
                f"'ss -tlnp sport = :{port}' says who has the port; or choose another",
            )


def _is_drd(host: str, port: int) -> bool:
    """Whether what listens there is a drd."""
    connection = HTTPConnection(host, port, timeout=PATIENCE_S)
    try:
        connection.request("GET", "/metrics")
        return b"\ndrd_" in connection.getresponse().read(1 << 20)
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _textfile(config: Config, page: Page) -> Iterator[Fault]:
    file = config.daemon.textfile
    if file is not None and not os.access(file.parent, os.W_OK | os.X_OK):
        yield page.error(
            ("daemon", "textfile"),
            f"is {file}: nothing can be written to that folder",
            "make it, and let the user that drd runs as write there",
        )


# ── sources ─────────────────────────────────────────────────────────────────────────────────────
def _sources(house: House, page: Page) -> Iterator[Fault]:
    labels: dict[str, str] = {}
    for name in house.need_config().source:
        keys = ("source", name)
        try:
            source = house.source(name)
            found = source.discover()
            policies = house.policies(source, found)
        except DrdError as error:
            yield _fault(page, keys, error)
            continue
        for trouble in source.overlooked():
            if isinstance(trouble, NotFoundError):
                yield page.warning(keys, f"matches nothing: {trouble}", trouble.hint)
            else:
                yield _fault(page, keys, trouble)
        for one in found:
            first = labels.setdefault(one.identity, one.label)
            if first != one.label:
                yield page.error(
                    keys,
                    f"matches {one.label}, which is {first} as well: one image would have two policies",
                    "narrow the patterns of one of the two",
                )
        yield from _policies(
            house, page, keys, [(one, policies.get(one.identity)) for one in found]
        )


def _policies(
    house: House, page: Page, keys: KeyPath, images: Sequence[tuple[Found, str | None]]
) -> Iterator[Fault]:
    """Images that no policy covers, and metadata that names one that there is not."""
    known = house.need_config().policy
    section = house.need_config().source[keys[1]]
    default = section.policy
    for image, named in images:
        if named and named not in known:
            near = difflib.get_close_matches(named, known, 1, cutoff=0.0)
            yield page.warning(
                keys,
                f"has the image {image.label}, whose metadata drd.policy is {named!r}: there is none such",
                f"the nearest is {near[0]!r}" if near else f"write [policy.{named}]",
            )
    bare = [image.label for image, named in images if not (named or default)]
    if bare:
        more = f" and {len(bare) - NAMED} more" if len(bare) > NAMED else ""
        yield page.warning(
            keys,
            f"has images without a policy, which nothing backs up: {', '.join(bare[:NAMED])}{more}",
            "write policy = NAME here"
            + (", or set drd.policy in their metadata" if section.type == "rbd" else ""),
        )
