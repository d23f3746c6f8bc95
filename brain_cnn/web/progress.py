"""How far an upload is judged, sent while it is judged, in the one answer to the one request.

A stream of JSON lines: `{"done": 32, "total": 180}`, and at last `{"html": "<!doctype ..."}`.
Nothing is kept between requests, so any worker can answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from threading import Thread
from typing import Any

from flask import Response, copy_current_request_context, current_app, stream_with_context

from brain_cnn.classifier import Progress
from brain_cnn.errors import ScanError


def stream_progress(work: Callable[[Progress], str]) -> Response:
    """Return a streamed answer that runs `work` and ends with the page it returns."""
    from brain_cnn.web.pages import render_error

    lines: SimpleQueue[dict[str, Any] | None] = SimpleQueue()

    @copy_current_request_context
    def run() -> None:
        try:
            html = work(lambda done, total: lines.put({"done": done, "total": total}))
        except ScanError as error:
            html = render_error(error.status, error.message, error.hint).get_data(as_text=True)
        except Exception:
            current_app.logger.exception("an upload could not be judged")
            sentence = "Something went wrong on our side. Nothing of your file was kept."
            html = render_error(500, sentence, "Please try again.").get_data(as_text=True)
        lines.put({"html": html})
        lines.put(None)

    def stream() -> Iterator[str]:
        Thread(target=run, daemon=True).start()
        while (line := lines.get()) is not None:
            yield json.dumps(line) + "\n"

    # A proxy that gathers the answer before it passes it on would hide the progress.
    headers = {"X-Accel-Buffering": "no"}
    return Response(
        stream_with_context(stream()), content_type="application/x-ndjson", headers=headers
    )
