"""What a verify found wrong is noted on this host, so that a backup of the same image can say it.

A backup looks at no pack that is there: its point uses what the bucket holds, whole or not. Without the
note an operator who has seen damage once, and backs up since, is told that all is well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from drd.model import Damage, PointInfo
from drd.ports import Catalogue
from drd.work.verify import OBJECT_LEVELS, Finding, Proof

Proven = tuple[PointInfo, Proof]


def note_damage(
    catalogue: Catalogue, tenant: bytes, proven: Iterable[Proven], *, now: datetime
) -> None:
    """Note damage of packs and tables that a verify found, and take back what it found to be no more."""
    lineages: dict[bytes, list[Proven]] = {}
    for info, proof in proven:
        if proof.level in OBJECT_LEVELS:
            lineages.setdefault(info.lineage, []).append((info, proof))
    for lineage, proofs in lineages.items():
        before = catalogue.damage_of(tenant, lineage)
        after = weigh(before, proofs, now=now)
        if after != before:
            catalogue.note_damage(tenant, lineage, after)


def weigh(before: Damage | None, proofs: Sequence[Proven], *, now: datetime) -> Damage | None:
    """What holds of a lineage after *proofs*, where *before* was noted.

    The next point goes on from the newest one: damage that a whole later point does without is none of
    its. A note goes with a point as new, or newer, that was found whole at its level, or a higher one.
    """
    wrong = [(info.seq, proof, harm(proof)) for info, proof in proofs if harm(proof)]
    newest, proof, found = max(wrong, key=lambda one: one[0], default=(-1, None, []))
    if before is not None:
        newest = max(newest, before.seq)
    level = max(before.level if before else 0, proof.level if proof else 0)
    sound = [(info.seq, one.level) for info, one in proofs if one.whole and not harm(one)]
    if any(seq >= newest and of >= level for seq, of in sound):
        return None
    if proof is None:
        return before
    lost = before.packs if before is not None else ()
    return Damage(newest, level, now, f"{found[0].about}: {found[0].what}", lost)


def harm(proof: Proof) -> list[Finding]:
    """Findings that are about what a restore reads: all but those about earlier manifests."""
    return [one for one in proof.findings if not one.about.startswith("m/")]
