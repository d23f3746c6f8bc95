"""What a worker looks after between requests: slots that are held too long, and free memory."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from flask import Flask

from brain_cnn.web.runtime.memory import trim
from brain_cnn.web.runtime.metrics import Metrics, metrics_of
from brain_cnn.web.runtime.queue import EngineQueue, queue_of

# So much more than at the last look is worth the milliseconds that giving it back takes.
_WORTH_BYTES = 32 << 20
_STATM = Path("/proc/self/statm")
_PAGE_BYTES = 4096


class Housekeeping:
    """Called now and then by the event loop; takes microseconds, or a thread.

    Args:
        queue: whose slots are looked after.
        metrics: that show their age.
        resident: how many bytes of memory this process has; None asks the system.
        give_back: gives free memory back to the system.
    """

    def __init__(
        self,
        queue: EngineQueue,
        metrics: Metrics,
        resident: Callable[[], int] | None = None,
        give_back: Callable[[], None] = trim,
    ) -> None:
        self._queue, self._metrics = queue, metrics
        self._resident = resident or resident_bytes
        self._give_back = give_back
        self._at_rest = self._resident()
        self._trimming: threading.Thread | None = None

    @classmethod
    def of(cls, app: Flask) -> Housekeeping:
        """Return that of an application."""
        return cls(queue_of(app), metrics_of(app))

    def look(self) -> None:
        """Take back what is held too long, show how long the others are held, free memory."""
        self._queue.take_back()
        self._metrics.slots_seen(self._queue)
        busy = self._queue.lengths[0] or (self._trimming and self._trimming.is_alive())
        if not busy and self._resident() > self._at_rest + _WORTH_BYTES:
            self._trimming = threading.Thread(target=self._trim, daemon=True)
            self._trimming.start()

    def _trim(self) -> None:
        self._give_back()
        self._at_rest = self._resident()


def resident_bytes() -> int:
    """Return the memory that this process has; 0 where the system does not say."""
    try:
        return int(_STATM.read_text().split()[1]) * _PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return 0
