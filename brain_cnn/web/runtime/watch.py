"""Every request gets an id, and after its answer a log line and its counts."""

from __future__ import annotations

from flask import Flask, Response, request

from brain_cnn.web.runtime.logs import log_request
from brain_cnn.web.runtime.metrics import Metrics
from brain_cnn.web.runtime.queue import leave_slot
from brain_cnn.web.runtime.trace import HEADER, current_trace

_METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS"})


def watch_requests(app: Flask, metrics: Metrics) -> None:
    """Watch all requests of `app`; called before other hooks are added."""

    @app.before_request
    def begin() -> None:
        current_trace()

    @app.teardown_request
    def leave(_: BaseException | None) -> None:
        if not current_trace().works_on:
            leave_slot()

    @app.context_processor
    def request_id() -> dict[str, str]:
        return {"request_id": current_trace().id}

    @app.after_request
    def end(response: Response) -> Response:
        trace = current_trace()
        response.headers[HEADER] = trace.id
        endpoint = request.endpoint or "none"
        # The route, not the address: an address is whatever a caller writes into it.
        route = request.url_rule.rule if request.url_rule else "(no such address)"
        method = request.method if request.method in _METHODS else "OTHER"
        status = response.status_code
        streamed = response.is_streamed

        def done() -> None:
            durations = trace.durations()
            metrics.request_done(trace, endpoint, method, status, durations)
            size = -1 if streamed else response.calculate_content_length() or 0
            log_request(trace.id, method, route, status, size, durations)

        if streamed:
            response.call_on_close(done)
        else:
            done()
        return response
