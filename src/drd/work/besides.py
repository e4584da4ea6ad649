"""What a restore may need besides the objects of its point: a slot for each holder, and the reader.

No manifest names them, so no level of verify would miss them; the day they are needed is too late.
"""

from __future__ import annotations

from collections.abc import Iterator

from drd.core import names, seal
from drd.errors import IntegrityError, ObjectMissingError
from drd.work.lineagekeys import decode_slot, each_version, load_keys, slot_context
from drd.work.repository import Repository


def check_reader(repository: Repository) -> None:
    """Look at the stand-alone reader that the signed format document names.

    Raises:
        IntegrityError: it is gone, or is another.
    """
    wanted = repository.format.reader_sha256
    key = names.reader_key(wanted)
    try:
        found = seal.sha256(repository.store.get(key))
    except ObjectMissingError:
        found = b""
    if found != wanted:
        raise IntegrityError(
            "the stand-alone reader is damaged" if found else "the stand-alone reader is missing",
            about=key,
            hint="no backup is touched, drctl restores without it; put it back from a copy of the "
            "bucket, or another repository made by the same version of drd",
        )


def slots_wanting(repository: Repository, lineage: bytes, name: str) -> Iterator[str]:
    """A sentence for each holder that has no slot for a key of *lineage*, or a damaged one.

    A holder that joined later has none for older generations, so this is worth a warning only. What
    is inside of a slot only its holder can prove.
    """
    keys = load_keys(repository, lineage)
    for generation in sorted(keys.generations):
        for holder in repository.ring.holders():
            for metadata in (False, True):
                prefix = names.slot_prefix(
                    keys.scope.tenant, lineage, generation, slot=holder.slot, metadata=metadata
                )
                context = slot_context(keys.scope, generation, metadata=metadata)
                numbers = keys.slots.get(prefix, [])
                if not any(
                    _reads(repository, f"{prefix}{number}", context, holder.slot)
                    for number in numbers
                ):
                    yield (
                        f"{name}: {prefix}{max(numbers, default=1)} is missing or damaged: "
                        f"{holder.slot} cannot open generation {generation}"
                    )


def _reads(repository: Repository, key: str, context: bytes, holder: str) -> bool:
    for data in each_version(repository.store, key):
        try:
            decode_slot(data, context, holder)
        except IntegrityError:
            continue
        return True
    return False
