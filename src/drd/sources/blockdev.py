"""The few things that block devices want said by ioctl, and holes in files."""

from __future__ import annotations

import array
import ctypes
import ctypes.util
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from typing import Final

from drd.model import Changed

BLKGETSIZE64: Final = 0x80081272
"""``_IOR(0x12, 114, size_t)``, include/uapi/linux/fs.h, on 64-bit machines."""

BLKZEROOUT: Final = 0x127F
"""``_IO(0x12, 127)``, include/uapi/linux/fs.h; argument: offset and length, both u64."""

FALLOC_FL_KEEP_SIZE: Final = 1
FALLOC_FL_PUNCH_HOLE: Final = 2
"""include/uapi/linux/falloc.h."""

ZEROS: Final = bytes(1024 * 1024)


def is_block(fd: int) -> bool:
    """Whether an open file is a block device."""
    return stat.S_ISBLK(os.fstat(fd).st_mode)


def size_of(fd: int) -> int:
    """Size in bytes of a file or block device."""
    if not is_block(fd):
        return os.fstat(fd).st_size
    size = array.array("Q", [0])
    try:
        fcntl.ioctl(fd, BLKGETSIZE64, size)
    except OSError:
        return os.lseek(fd, 0, os.SEEK_END)
    return size[0]


def data_ranges(fd: int, offset: int, end: int) -> Iterator[Changed]:
    """Parts of ``[offset, end)`` that hold data; all of it where holes cannot be told."""
    at = offset
    while at < end:
        try:
            first = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # a hole up to the end of the file
                return
            if error.errno != errno.EINVAL:
                raise
            yield Changed(at, end - at)  # block devices, and file systems without SEEK_DATA
            return
        if first >= end:
            return
        last = min(os.lseek(fd, first, os.SEEK_HOLE), end)
        yield Changed(first, last - first)
        at = last


def zero(fd: int, offset: int, length: int) -> None:
    """Make a range of an existing file or block device zero, without writing where that can be had."""
    try:
        if is_block(fd):
            fcntl.ioctl(fd, BLKZEROOUT, array.array("Q", [offset, length]))
        else:
            _punch(fd, offset, length)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL):
            raise
        write_zeros(fd, offset, length)


def write_zeros(fd: int, offset: int, length: int) -> None:
    """Make a range zero by writing."""
    end = offset + length
    while offset < end:
        offset += os.pwrite(fd, ZEROS[: min(len(ZEROS), end - offset)], offset)


def write_all(fd: int, data: memoryview, offset: int) -> None:
    """Write all of *data*; the kernel may take less at once."""
    while data:
        done = os.pwrite(fd, data, offset)
        data, offset = data[done:], offset + done


def _punch(fd: int, offset: int, length: int) -> None:
    """fallocate(2), which Python does not have with a mode."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    mode = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
    if libc.fallocate(fd, mode, offset, length) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
