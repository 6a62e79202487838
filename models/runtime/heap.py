"""What the C library does with freed memory; serves sessions and workers."""

import contextlib
import ctypes

MMAP_THRESHOLD, LARGE_BYTES = -3, 2**20  # M_MMAP_THRESHOLD of mallopt(3)


def give_large_blocks_back() -> None:
    """Let the C library return each freed block of 1 MiB or more to the system.

    By default glibc keeps as much as the largest blocks that it has seen, for every thread, and
    what is allocated between two of them keeps both.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(MMAP_THRESHOLD, LARGE_BYTES)


def give_free_pages_back() -> None:
    """Return what is free between smaller blocks to the system; takes milliseconds."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
