"""What a pack's footer says of its frames."""

from __future__ import annotations

from collections.abc import Sequence

from drd.core.sections import What, decode_map
from drd.core.tables import decode_index
from drd.errors import IntegrityError
from drd.model import Geometry


def footer_frames(
    sections: Sequence[bytes], geometry: Geometry, frames: int
) -> list[tuple[int, int, int]]:
    """Offset, stored and plain length of each of the pack's *frames*, in order, from the opened footer.

    Raises:
        IntegrityError: the footer does not tell of each frame.
    """
    index = decode_index(sections[0], len(sections)) if sections else {}
    found: dict[int, tuple[int, int, int]] = {}
    for (what, _), section in index.items():
        if what is not What.MAP:
            continue
        piece = decode_map(
            sections[section], block=geometry.block, window_blocks=geometry.window_blocks
        )
        table = piece.frames
        for number, offset, stored, plain in zip(
            table.frame.tolist(),
            table.offset.tolist(),
            table.stored.tolist(),
            table.plain.tolist(),
            strict=True,
        ):
            found[number] = (offset, stored, plain)
    if sorted(found) != list(range(frames)):
        raise IntegrityError("a pack's footer does not tell of each frame")
    return [found[number] for number in range(frames)]
