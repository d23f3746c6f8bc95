"""What libraries say of a file, as lines of our own log: where, once each, without content.

Pillow warns of every broken tag, in a sentence that quotes the file.
"""

from __future__ import annotations

import logging
import threading
import warnings
from typing import Any

from brain_cnn.web.runtime.logs import LOGGER

# Writes to stderr by itself, past every setting.
_OWN_HANDLERS = ("nibabel.global",)


class LibraryHandler(logging.Handler):
    """Says that a library warned, and where; each place once."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._seen: set[tuple[str, str, int]] = set()
        self._seen_lock = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line for a place in a library."""
        self.say(record.name, record.pathname, record.lineno)

    def show(self, message: Any, category: Any, filename: str, lineno: int, *_: Any) -> None:
        """Stand for `warnings.showwarning`."""
        self.say(category.__name__, filename, lineno)

    def filter_all(self, record: logging.LogRecord) -> bool:
        """Stand for the handlers that a library gave its own logger."""
        if record.levelno >= self.level:
            self.emit(record)
        return False

    def say(self, kind: str, filename: str, lineno: int) -> None:
        """Write the line, if it is the first of its place."""
        place = (kind, filename, lineno)
        with self._seen_lock:
            if place in self._seen:
                return
            self._seen.add(place)
        LOGGER.warning(
            "a library warns: %s at %s:%d",
            *place,
            extra={"fields": {"warning": kind, "place": f"{filename}:{lineno}"}},
        )


def log_library_warnings() -> None:
    """Send what libraries warn of through our log; an embedding program keeps its own."""
    if logging.getLogger().handlers or isinstance(logging.lastResort, LibraryHandler):
        return
    handler = LibraryHandler()
    logging.lastResort = handler
    warnings.showwarning = handler.show  # type: ignore[assignment]
    for name in _OWN_HANDLERS:
        logging.getLogger(name).addFilter(handler.filter_all)
