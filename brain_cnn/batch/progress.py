"""How far a job is: a line that is rewritten on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, TextIO

_TERMINAL_SECONDS = 0.5
_LOG_SECONDS = 30.0


class Progress:
    """Counts files and slices; a thread counts how many there are while the job runs.

    Args:
        count: yields everything that the job will come across; walked beside the job, so
            that the end can be told before it is reached.
        out: where the lines go; None means nowhere, and nothing is counted.
        before: files that have their row already.
    """

    def __init__(
        self, count: Callable[[], Iterable[Any]], out: TextIO | None = sys.stderr, before: int = 0
    ) -> None:
        self._out = out
        self._before = before
        self._files = self._slices = self._errors = 0
        self._start = self._shown = time.monotonic()
        self._every = _TERMINAL_SECONDS if out is not None and out.isatty() else _LOG_SECONDS
        self._total = 0
        self._known = threading.Event()
        self._stop = threading.Event()
        if out is not None:
            threading.Thread(target=self._count, args=(count,), daemon=True).start()

    def add(self, files: int, slices: int, errors: int) -> None:
        """Note what was finished."""
        self._files += files
        self._slices += slices
        self._errors += errors
        if time.monotonic() - self._shown >= self._every:
            self.show()

    def show(self) -> None:
        """Write the line."""
        if self._out is None:
            return
        self._shown = time.monotonic()
        end = "" if self._out.isatty() else "\n"
        start = "\r\x1b[K" if self._out.isatty() else ""
        self._out.write(start + self.line(self._shown - self._start) + end)
        self._out.flush()

    def line(self, seconds: float) -> str:
        """Return the line after so many seconds."""
        done = self._before + self._files
        rate = self._files / seconds if seconds > 0 else 0.0
        speed = f"{rate:.1f} files/s, {self._slices / max(seconds, 1e-9):.1f} slices/s"
        errors = f", {self._errors:,} with an error" if self._errors else ""
        if not self._known.is_set():
            return f"{done:,} files of more than {max(self._total, done):,}{errors}, {speed}"
        total = max(self._total, done)
        left = f", {_duration((total - done) / rate)} left" if rate > 0 and total > done else ""
        share = done / total if total else 1.0
        bar = "#" * int(20 * share) + "." * (20 - int(20 * share))
        return f"[{bar}] {done:,} of {total:,} files ({share:.0%}){errors}, {speed}{left}"

    def close(self) -> None:
        """Write the last line and stop counting."""
        self._stop.set()
        self.show()
        if self._out is not None and self._out.isatty():
            self._out.write("\n")

    def _count(self, count: Callable[[], Iterable[Any]]) -> None:
        for _ in count():
            self._total += 1
            if self._stop.is_set():
                return
        self._known.set()


def _duration(seconds: float) -> str:
    minutes, hours = int(seconds // 60), int(seconds // 3600)
    if hours >= 48:
        return f"{hours // 24} days {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {int(seconds) % 60} s" if minutes else f"{int(seconds)} s"
