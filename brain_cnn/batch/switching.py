"""How fast Python's threads take turns, which is a property of the whole process."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# Seconds after which a thread that computes in Python lets another in. Python's own 5 ms is
# longer than a slice takes: one that comes back from the network would wait for the next core.
SWITCH_S = 0.001

_lock = threading.Lock()
_users = 0
_before = 0.0


@contextmanager
def quick_switches() -> Iterator[None]:
    """Let threads take turns every `SWITCH_S` at least; afterwards as before.

    For a program that owns its process, such as a command; a library leaves the interpreter as
    it is. May be used inside itself and in several threads: the last one out restores.
    """
    global _users, _before  # noqa: PLW0603 - the interpreter has one interval
    with _lock:
        if not _users:
            _before = sys.getswitchinterval()
            sys.setswitchinterval(min(_before, SWITCH_S))
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                sys.setswitchinterval(_before)
