"""Sources that can match one image: it would have two policies, and two runs would compete for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import combinations, product

from drd.config.faults import Fault, Page
from drd.config.sections import Config, DeviceSource, RbdSource, SourceConfig
from drd.core.globs import common_image, common_path

_ONE_POLICY = (
    "an image may choose another policy by itself: rbd image-meta set POOL/IMAGE drd.policy NAME"
)


def check_sources(config: Config, page: Page) -> Iterator[Fault]:
    """All pairs of them; each overlap is told at the later one."""
    if not config.source:
        yield page.warning(("source",), "is missing: nothing is backed up", "write a [source.NAME]")
    for (first, one), (second, other) in combinations(config.source.items(), 2):
        found = _common(one, other)
        if found is None:
            continue
        line = page.line(("source", first))
        key = "images" if isinstance(other, RbdSource) else "paths"
        hint = "narrow one of them"
        if isinstance(other, RbdSource):
            hint += f"; {_ONE_POLICY}"
        yield page.error(
            ("source", second, key),
            f"overlaps source.{first} (line {line}): both match {found!r}",
            hint,
        )


def _common(one: SourceConfig, other: SourceConfig) -> str | None:
    """What both sources can match, as an operator calls it; None for nothing."""
    if isinstance(one, RbdSource) and isinstance(other, RbdSource):
        return _common_image(one, other)
    if isinstance(one, DeviceSource) and isinstance(other, DeviceSource):
        pairs = product(map(str, one.paths), map(str, other.paths))
        return next((path for pair in pairs if (path := common_path(*pair)) is not None), None)
    return None


def _common_image(one: RbdSource, other: RbdSource) -> str | None:
    """Sources of one pool overlap in a namespace and a name, whoever the Ceph user is."""
    if (one.ceph_conf, one.pool) != (other.ceph_conf, other.pool):
        return None
    namespace = _common_namespace(one.namespaces, other.namespaces)
    if namespace is None:
        return None
    pairs = product(one.images, other.images)
    name = next((found for pair in pairs if (found := common_image(*pair)) is not None), None)
    return "/".join(part for part in (one.pool, namespace, name) if part) if name else None


def _common_namespace(one: Sequence[str], other: Sequence[str]) -> str | None:
    """The default namespace is ``""``, and ``*`` matches it, too."""
    if all(any(fnmatchcase("", pattern) for pattern in each) for each in (one, other)):
        return ""
    pairs = product(one, other)
    return next((found for pair in pairs if (found := common_image(*pair)) is not None), None)
