"""glibc gives every large block back to the system and asks for it again: keep it instead.

Activations of a training step are the same large blocks at every step. With glibc's defaults each is mapped, zeroed
page by page and unmapped again, a quarter of a Triple Net step on two cores. Kept blocks are used again; the process
holds the memory of its largest step until it ends.
"""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_NEVER, _AHEAD = 2**31 - 1, 64 * 2**20


def keep_freed_memory() -> bool:
    """Tell the C library to keep what is freed; False where it is not glibc, and nothing changes."""
    try:
        library = ctypes.CDLL(None)
        mallopt = library.mallopt if hasattr(library, "gnu_get_libc_version") else None
    except (OSError, AttributeError, TypeError):
        return False
    return mallopt is not None and all(
        mallopt(option, value) == 1
        for option, value in ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _NEVER), (_M_TOP_PAD, _AHEAD))
    )
