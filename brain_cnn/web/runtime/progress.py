"""An answer with progress: lines of progress first, then the answer itself.

The body is newline-delimited JSON, `{"done": 8, "total": 180}` after each batch of slices, an
empty line, and then what the plain answer would have been. An error before the first line
has its own status; a later one is a last line with the problem object, and nothing follows it.
"""

from __future__ import annotations

import contextvars
import json
import queue
import threading
from collections.abc import Callable, Iterator

from flask import Response, current_app, stream_with_context
from werkzeug.exceptions import InternalServerError

from brain_cnn.inference.classifier import Progress
from brain_cnn.web.runtime.queue import leave_slot
from brain_cnn.web.runtime.trace import current_trace

KIND = "application/x-ndjson"


class _Gone(Exception):
    """The client no longer waits for the answer."""


class _Work:
    """The making of an answer, in a thread of its own, which never outlives the request."""

    def __init__(self, make: Callable[[Progress], bytes]) -> None:
        self.events: queue.SimpleQueue[tuple[int, int] | bytes | Exception] = queue.SimpleQueue()
        self._make = make
        self._gone = threading.Event()
        current_trace().works_on = True
        # The thread sees the same request, and its end is not the request's.
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run,), daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.events.put(self._make(self._say))
        except Exception as error:
            self.events.put(error)
        finally:
            # Sending is up to the client, who must not hold the engine while it takes its time.
            current_trace().works_on = False
            leave_slot()

    def _say(self, done: int, total: int) -> None:
        if self._gone.is_set():
            raise _Gone
        self.events.put((done, total))

    def stop(self) -> None:
        """Stop after the batch that is judged now."""
        self._gone.set()
        self._thread.join()


def answer_with_progress(make: Callable[[Progress], bytes], boundary: str) -> Response:
    """Return the answer of `make`, after lines of progress.

    Args:
        make: makes the body of a `multipart/form-data` answer; calls back after each batch.
        boundary: of that body; the answer's content type names it.

    Raises:
        Exception: what `make` raised before it called back for the first time.
    """
    work = _Work(make)
    first = work.events.get()
    if isinstance(first, Exception):
        work.stop()
        raise first

    def body() -> Iterator[bytes]:
        event: tuple[int, int] | bytes | Exception = first
        try:
            while isinstance(event, tuple):
                yield json.dumps({"done": event[0], "total": event[1]}).encode() + b"\n"
                event = work.events.get()
            if isinstance(event, bytes):
                yield b"\n"
                yield event
            else:
                yield _problem_line(event)
        finally:
            work.stop()

    # A proxy that collects the answer first would show no progress.
    headers = {"X-Accel-Buffering": "no"}
    kind = f"{KIND}; boundary={boundary}"
    # The generator may never be started, where the client is gone already.
    response = Response(stream_with_context(body()), content_type=kind, headers=headers)
    response.call_on_close(work.stop)
    return response


def _problem_line(error: Exception) -> bytes:
    """Return the problem object of the error as one line."""
    try:
        answer = current_app.make_response(current_app.handle_user_exception(error))
    except Exception:  # a fault of ours: logged as any other, and told as a 500
        current_app.log_exception((type(error), error, error.__traceback__))  # type: ignore[arg-type]
        fault = InternalServerError()
        answer = current_app.make_response(current_app.handle_user_exception(fault))
    return answer.get_data().strip() + b"\n"
