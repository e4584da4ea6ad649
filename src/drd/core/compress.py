"""zstd, or the bytes themselves where zstd does not help.

No flag says which: a stored length equal to the plain length means *raw*. Both lengths are
authenticated, so nobody can turn one into the other.
"""

from __future__ import annotations

import zstandard

from drd.errors import IntegrityError
from drd.model import Buffer


class Compressor:
    """One zstd context; not for use by two threads at once (RFC 8878 frames, without checksum:
    AES-GCM authenticates more than a checksum could).
    """

    def __init__(self, level: int) -> None:
        self._context = zstandard.ZstdCompressor(
            level=level, write_checksum=False, write_content_size=True
        )

    def shrink(self, plain: Buffer) -> Buffer:
        """The zstd frame of *plain* when it is smaller, else *plain* itself."""
        packed = self._context.compress(plain)
        return packed if len(packed) < len(plain) else plain


class Decompressor:
    """One zstd context; not for use by two threads at once."""

    def __init__(self) -> None:
        self._context = zstandard.ZstdDecompressor()

    def grow(self, stored: Buffer, plain_length: int) -> Buffer:
        """Exactly *plain_length* bytes.

        Raises:
            IntegrityError: *stored* is no zstd frame of that length.
        """
        if len(stored) == plain_length:
            return stored
        if len(stored) > plain_length:
            raise IntegrityError("a stored frame is longer than its plaintext")
        try:
            if zstandard.frame_content_size(stored) != plain_length:
                raise IntegrityError("a zstd frame has another length than its table says")
            # Gives the length that the frame declares (compared just now), or raises.
            return self._context.decompress(stored, allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise IntegrityError("a zstd frame does not decompress") from error
