"""The record of one request while it is answered: its id, its durations, its verdicts.

It lives in the WSGI environment and not in `flask.g`, because the environment is the same for
a request that is handed to another thread, whose application context is its own.
"""

from __future__ import annotations

import re
import time
import uuid
from typing import Protocol

from flask import has_request_context, request

_KEY = "brain_cnn.trace"
HEADER = "X-Request-ID"

# What a proxy or a caller may call a request: nothing that could break a log or a header.
_SAFE_ID = re.compile(r"[A-Za-z0-9._=-]{1,64}")


class Slot(Protocol):
    """The right to use the engine, as `queue` gives it."""

    def leave(self) -> None:
        """Give it back; may be called twice."""
        ...


class Trace:
    """One request.

    Attributes:
        id: the caller's `X-Request-ID` if it is safe, else a new one (32 hex digits).
        start: `time.perf_counter()` at its start.
        stages: name -> seconds spent in it.
        verdicts: (verdict, label) of each study that was judged; label "" if unfamiliar.
        slices: slices that were judged.
        refusal: code of the problem in the answer, or "".
        slot: the engine slot that this request holds now.
        works_on: whether judging continues while the answer is sent; it then gives the slot
            back itself, because Flask ends a request when it begins to send.
        takes_slots: False for health checks, which a busy server must answer too and whose
            verdicts do not count.
    """

    __slots__ = (
        "id",
        "refusal",
        "slices",
        "slot",
        "stages",
        "start",
        "takes_slots",
        "verdicts",
        "works_on",
    )

    def __init__(self, wanted_id: str | None = None) -> None:
        safe = wanted_id is not None and _SAFE_ID.fullmatch(wanted_id)
        self.id: str = wanted_id if safe and wanted_id else uuid.uuid4().hex
        self.start = time.perf_counter()
        self.stages: dict[str, float] = {}
        self.verdicts: list[tuple[str, str]] = []
        self.slices = 0
        self.refusal = ""
        self.slot: Slot | None = None
        self.takes_slots = True
        self.works_on = False

    def add(self, stage: str, seconds: float) -> None:
        """Count `seconds` for `stage`."""
        self.stages[stage] = self.stages.get(stage, 0.0) + seconds

    def durations(self) -> dict[str, float]:
        """Return seconds by stage; "render" is the rest, "total" the sum."""
        total = time.perf_counter() - self.start
        rest = max(0.0, total - sum(self.stages.values()))
        return {**self.stages, "render": rest, "total": total}


def current_trace() -> Trace:
    """Return the trace of the current request."""
    trace = request.environ.get(_KEY)
    if trace is None:
        trace = request.environ[_KEY] = Trace(request.headers.get(HEADER))
    return trace


def trace_or_none() -> Trace | None:
    """Return the trace, or None outside a request."""
    return current_trace() if has_request_context() else None
