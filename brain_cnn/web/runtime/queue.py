"""A bounded queue in front of the engine: some requests run, some wait, all others get 503.

Without it every accepted request makes all others slower, and all of them hold their
files in memory. Each gunicorn process has its own queue.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flask import Flask, current_app
from werkzeug.exceptions import ServiceUnavailable

from brain_cnn.web.runtime.trace import current_trace

_EXTENSION = "brain_cnn.queue"
BUDGET = "brain_cnn.budget"
_LONGEST_RETRY_S = 60


class Busy(ServiceUnavailable):
    """503 with `Retry-After`: the server has no room for this request now.

    Attributes:
        code_name: the problem's `code`.
    """

    def __init__(self, code_name: str, retry_after: int) -> None:
        super().__init__(
            "The server is busy: more files arrive than it can judge. It kept nothing of your "
            f"upload. Please try again in {retry_after} second{'' if retry_after == 1 else 's'}.",
            retry_after=retry_after,
        )
        self.code_name = code_name


class Slot:
    """The right to use the engine, until `leave` (which may be called twice)."""

    def __init__(self, queue: EngineQueue) -> None:
        self._queue = queue
        self._since = time.perf_counter()

    @property
    def age_s(self) -> float:
        """For how long it has been held, in seconds."""
        return time.perf_counter() - self._since

    def leave(self) -> None:
        """Give the slot to the next one who waits."""
        self._queue.leave(self)


class EngineQueue:
    """First come, first served.

    Args:
        slots: requests that are judged at once.
        waiting: requests that may wait for a slot.
        seconds: longest wait in seconds; then the request is refused.
        watch: called with (running, waiting) after each change.
        longest_s: a slot that is held longer is taken back (`take_back`).
    """

    def __init__(
        self,
        slots: int,
        waiting: int,
        seconds: float,
        watch: Callable[[int, int], None] = lambda running, waiting: None,
        longest_s: float = math.inf,
    ) -> None:
        self._slots, self._most_waiting, self._seconds = slots, waiting, seconds
        self._watch = watch
        self._longest_s = longest_s
        self._lock = threading.Lock()
        self._running = 0
        self._held: set[Slot] = set()
        self._overdue: set[Slot] = set()  # taken back; their requests still work
        self._waiters: deque[threading.Lock] = deque()
        self._mean_s = 0.05  # of how long a slot is held, for Retry-After

    @property
    def lengths(self) -> tuple[int, int]:
        """Numbers of running and waiting requests."""
        return self._running, len(self._waiters)

    @property
    def oldest_s(self) -> float:
        """For how long the longest-held slot has been held, in seconds; 0 where none is."""
        with self._lock:
            return max((slot.age_s for slot in self._held | self._overdue), default=0.0)

    @property
    def overdue(self) -> int:
        """How many requests work on without a slot, since theirs was taken back."""
        return len(self._overdue)

    @property
    def longest_s(self) -> float:
        """For how long a slot may be held, in seconds."""
        return self._longest_s

    def take_back(self) -> None:
        """Take the slots back that are held too long: others must not wait for them."""
        with self._lock:
            late = {slot for slot in self._held if slot.age_s > self._longest_s}
            self._held -= late
            self._overdue |= late
        for slot in late:
            self.release(slot.age_s)

    def leave(self, slot: Slot) -> None:
        """Take a slot that is no longer needed; nothing where it was left already."""
        with self._lock:
            was_held = slot in self._held
            self._held.discard(slot)
            self._overdue.discard(slot)
        if was_held:
            self.release(slot.age_s)

    def _new_slot(self) -> Slot:
        slot = Slot(self)
        self._held.add(slot)
        return slot

    def enter(self) -> Slot:
        """Return a slot, at once or after a wait.

        Raises:
            Busy: too many wait already, or the wait was too long.
        """
        with self._lock:
            if self._running < self._slots:
                self._running += 1
                self._watch(*self.lengths)
                return self._new_slot()
            if len(self._waiters) >= self._most_waiting:
                raise self._busy("queue-full")
            ticket = threading.Lock()
            ticket.acquire()
            self._waiters.append(ticket)
            self._watch(*self.lengths)
        if not ticket.acquire(timeout=self._seconds):
            with self._lock:
                # Not there any more: the slot was handed over in this very moment.
                if ticket in self._waiters:
                    self._waiters.remove(ticket)
                    self._watch(*self.lengths)
                    raise self._busy("queue-slow")
        with self._lock:
            return self._new_slot()

    def release(self, held_s: float) -> None:
        """Hand a slot, held for `held_s` seconds, to the one who waits longest."""
        with self._lock:
            self._mean_s += 0.1 * (held_s - self._mean_s)
            if self._waiters:
                # The slot goes straight over, so that no newcomer can overtake.
                self._waiters.popleft().release()
            else:
                self._running -= 1
            self._watch(*self.lengths)

    def _busy(self, code_name: str) -> Busy:
        seconds = self._mean_s * (len(self._waiters) + 1) / self._slots
        return Busy(code_name, max(1, min(_LONGEST_RETRY_S, math.ceil(seconds))))


class ByteBudget:
    """A limit for the bytes of uploads that one process holds at once.

    Args:
        most: the limit in bytes.
        watch: called with the bytes that are held after each change.
    """

    def __init__(self, most: int, watch: Callable[[int], None] = lambda held: None) -> None:
        self._most = most
        self._watch = watch
        self._held = 0
        self._lock = threading.Lock()

    @property
    def most(self) -> int:
        """The limit in bytes."""
        return self._most

    @property
    def held(self) -> int:
        """Bytes that are taken now."""
        return self._held

    def take(self, count: int) -> bool:
        """Take `count` bytes; False if they do not fit."""
        with self._lock:
            if self._held + count > self._most:
                return False
            self._held += count
            self._watch(self._held)
            return True

    def give_back(self, count: int) -> None:
        """Give `count` bytes back."""
        if not count:
            return
        with self._lock:
            self._held -= count
            self._watch(self._held)


def queue_of(app: Flask) -> EngineQueue:
    """Return the queue of `app`."""
    queue: EngineQueue = app.extensions[_EXTENSION]
    return queue


def install_queue(app: Flask, queue: EngineQueue, budget: ByteBudget) -> None:
    """Make `queue` the one that `engine_slot` uses in `app`, and `budget` that of its uploads."""
    app.extensions[_EXTENSION] = queue
    app.extensions[BUDGET] = budget


@contextmanager
def engine_slot() -> Iterator[None]:
    """Hold a slot of the engine, in a `with` statement or as a decorator of a view.

    Nested use in one request takes no second slot.

    Raises:
        Busy: the queue is full; 503 at once.
    """
    if current_trace().slot is not None:
        yield
        return
    leave = hold_slot()
    try:
        yield
    finally:
        leave()


def hold_slot() -> Callable[[], None]:
    """Take a slot that the request holds until its end.

    Returns:
        A function that gives the slot back earlier; any thread may call it, also twice.

    Raises:
        Busy: the queue is full.
    """
    trace = current_trace()
    start = time.perf_counter()
    slot = current_app.extensions[_EXTENSION].enter()
    trace.add("queue", time.perf_counter() - start)
    trace.slot = slot

    def leave() -> None:
        trace.slot = None
        slot.leave()

    return leave


def leave_slot() -> None:
    """Give back the slot that the current request still holds, if any."""
    trace = current_trace()
    slot, trace.slot = trace.slot, None
    if slot is not None:
        slot.leave()
