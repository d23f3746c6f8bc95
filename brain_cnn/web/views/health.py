"""For those who run the server: is it alive, can it answer, how much does it do."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, jsonify

from brain_cnn.errors import BundleError
from brain_cnn.web.problems import problem, problem_response
from brain_cnn.web.runtime import metrics as prometheus
from brain_cnn.web.runtime.queue import queue_of
from brain_cnn.web.runtime.trace import current_trace
from brain_cnn.web.uploads import classifier

blueprint = Blueprint("ops", __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    """The orchestrator gets 200 as long as the process answers."""
    return jsonify(status="ok")


@blueprint.get("/readyz")
def readyz() -> Response:
    """The load balancer gets 200 if a drawn slice goes through the real engine.

    503 too while a request works on whose slot had to be taken back: a process that has many of
    them has no processor time left. `slot_age_s`: for how long the slot that is held longest
    has been held, in seconds.
    """
    queue = queue_of(current_app)
    queue.take_back()
    age = round(queue.oldest_s, 1)
    if queue.overdue:
        sentence = (
            f"{queue.overdue} requests work for longer than {queue.longest_s:g} s, the longest "
            f"for {age:g} s; their slots were taken back (BRAIN_CNN_SLOT_SECONDS)."
        )
        return problem_response(problem(503, sentence, code="slot-overdue"))
    model = classifier()
    current_trace().takes_slots = False
    try:
        model.self_test()
    except BundleError as error:
        current_app.logger.error("not ready: %s", error.message)
        return problem_response(problem(503, error.message, code=error.code))
    bundle = model.bundle
    return jsonify(
        status="ready",
        model={"name": bundle.name, "version": bundle.version, "sha256": bundle.sha256},
        engine=model.engine.name,
        slot_age_s=age,
    )


@blueprint.get("/metrics")
def metrics() -> Response:
    """Prometheus gets the numbers of all processes of this server."""
    own = prometheus.metrics()
    own.slots_seen(queue_of(current_app))
    return Response(own.page(), content_type=prometheus.CONTENT_TYPE)
