"""For those who run the server: is it alive, can it answer."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, jsonify

from brain_cnn.errors import BundleError
from brain_cnn.web.problems import problem, problem_response
from brain_cnn.web.uploads import classifier

blueprint = Blueprint("ops", __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    """The orchestrator gets 200 as long as the process answers."""
    return jsonify(status="ok")


@blueprint.get("/readyz")
def readyz() -> Response:
    """The load balancer gets 200 if a drawn slice goes through the real engine."""
    model = classifier()
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
    )
