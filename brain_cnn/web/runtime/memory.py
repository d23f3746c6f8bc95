"""Memory goes back to the system after a large study: the C library's allocator, bounded."""

from __future__ import annotations

import ctypes

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8

# Each thread would get an arena of its own, and each keeps the most that it ever held.
ARENAS = 2
# What is larger gets pages of its own, which go back as soon as it is freed. Left to itself,
# glibc raises the limit to the largest block that was ever freed, up to 32 MiB.
OWN_PAGES_BYTES = 1 << 20
# Of what is free at the end of an arena, so much may stay.
SPARE_BYTES = 4 << 20


def give_memory_back() -> bool:
    """Bound the allocator of this process and of those that it forks; called before threads run.

    Returns:
        Whether it could be done: False where the C library is no glibc.
    """
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018
        mallopt = library.mallopt
    except (AttributeError, OSError):
        return False
    wanted = (
        (_M_ARENA_MAX, ARENAS),
        (_M_MMAP_THRESHOLD, OWN_PAGES_BYTES),
        (_M_TRIM_THRESHOLD, SPARE_BYTES),
    )
    answers = [mallopt(name, value) for name, value in wanted]
    return answers == [1] * len(wanted)


def trim() -> None:
    """Give what is free inside the arenas back too; a few milliseconds, without the GIL."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):
        return
