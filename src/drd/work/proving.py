"""Proves points of one repository to one level, whoever asks: a person, or the daemon's schedule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from drd.errors import DrdError, NotFoundError
from drd.model import Found, PointInfo
from drd.ports import Source
from drd.work.repository import Repository
from drd.work.verify import Eyes, Proof, Round, verify_objects, verify_source

SOURCE_LEVEL: Final = 4


class Prover:
    """Proves points of one repository to one level; *sources* are asked for when level 4 needs them."""

    def __init__(
        self, sources: Callable[[], list[Source]], repository: Repository, level: int, eyes: Eyes
    ) -> None:
        self._sources = sources
        self._level = level
        self.round = Round(repository, level, eyes)
        self.cut: set[bytes] = set()
        self._found: dict[str, Sequence[Found]] = {}
        self._unasked: dict[str, DrdError] = {}

    def prove(self, info: PointInfo) -> Proof:
        """Look at one point."""
        opened = self.round.open(info)
        name = f"{info.name}@{info.seq}"
        if self._level != SOURCE_LEVEL:
            return verify_objects(opened, self.round, point=name)
        source, found = self.source_of(info)
        return verify_source(opened, source, found, self.round, point=name)

    def cut_short(self, info: PointInfo) -> Iterator[Proof]:
        """What was found wrong of a point whose ``prove`` raised: it proves nothing else. Its lineage is
        in ``cut`` from then on.
        """
        self.cut.add(info.lineage)
        findings = self.round.take()
        if findings:
            name = f"{info.name}@{info.seq}"
            yield Proof(name, self._level, 0, 0, findings, whole=False)

    def source_of(self, info: PointInfo) -> tuple[Source, Found]:
        """The image that a point was made of; the source that had it then is asked first.

        Raises:
            NotFoundError: no source of the configuration has it any more.
        """
        had = info.facts.get("source")
        for source in sorted(self._sources(), key=lambda one: one.name != had):
            for found in self._images_of(source):
                if found.identity == info.identity:
                    return source, found
        raise NotFoundError(
            "no source of the configuration has this image any more",
            about=info.name,
            hint="level 4 compares with the source; use --level 2",
        )

    def _images_of(self, source: Source) -> Sequence[Found]:
        """What a source has; it is asked once, and what it could not answer is one error."""
        if source.name in self._unasked:
            raise self._unasked[source.name]
        if source.name not in self._found:
            try:
                self._found[source.name] = source.discover()
            except DrdError as error:
                error.about = error.about or source.name
                self._unasked[source.name] = error
                raise
        return self._found[source.name]
