"""`create_app`: settings and a model in, a WSGI application out."""

from __future__ import annotations

import hashlib
import sys
from functools import cache

from flask import Flask, url_for
from flask.json.provider import DefaultJSONProvider

from brain_cnn.errors import BrainCnnError
from brain_cnn.inference.classifier import Classifier, load_classifier
from brain_cnn.render.words import percent
from brain_cnn.resources import resource
from brain_cnn.web.limits import set_limits
from brain_cnn.web.problems import handle_errors
from brain_cnn.web.runtime.library_warnings import log_library_warnings
from brain_cnn.web.runtime.logs import LOGGER, PrivateApp, set_up_logging
from brain_cnn.web.runtime.metrics import Metrics, install_metrics
from brain_cnn.web.runtime.queue import ByteBudget, EngineQueue, install_queue
from brain_cnn.web.runtime.queued_classifier import QueuedClassifier
from brain_cnn.web.runtime.watch import watch_requests
from brain_cnn.web.security import protect
from brain_cnn.web.settings import Settings
from brain_cnn.web.views import (
    api,
    counterfactual,
    health,
    model_page,
    openapi,
    pages,
    report,
    samples,
    viewer,
)

_VIEWS = (pages, viewer, model_page, api, counterfactual, report, samples, health, openapi)


def create_app(settings: Settings | None = None, classifier: Classifier | None = None) -> Flask:
    """Build the web application, with the model loaded and tested.

    Args:
        settings: None reads them from the environment.
        classifier: a loaded model, whose engine is used with the coverage and limits of the
            settings; None loads the one that the settings name.

    Raises:
        SettingsError: a setting is unknown or does not fit.
        BundleError: the model is missing, damaged, or fails its self-test.
    """
    settings = settings or Settings.from_env()
    set_up_logging(settings.log_format)
    log_library_warnings()
    served = _served(settings, classifier)
    app = _flask_app(settings, served)
    metrics = Metrics()
    metrics.say_model(served)
    install_metrics(app, metrics)
    budget = ByteBudget(settings.max_held_bytes, metrics.held.set)
    queue = EngineQueue(
        settings.slot_count,
        settings.queue_waiting,
        settings.queue_seconds,
        metrics.queue_changed,
        settings.slot_seconds,
    )
    install_queue(app, queue, budget)
    # In this order: what is refused is watched and carries the headers too.
    watch_requests(app, metrics)
    protect(app)
    set_limits(app, settings, budget)
    handle_errors(app)
    for module in _VIEWS:
        app.register_blueprint(module.blueprint)
    bundle, engine = served.bundle, served.engine.name
    LOGGER.info(
        "model %s %s (%s), engine %s", bundle.name, bundle.version, bundle.sha256[:12], engine
    )
    return app


def _served(settings: Settings, classifier: Classifier | None) -> QueuedClassifier:
    """Return the model behind the queue, tested."""
    if classifier is None:
        classifier = load_classifier(
            settings.model_path,
            settings.engine,
            settings.coverage,
            threads=settings.engine_threads,
            limits=settings.scan_limits,
        )
    served = QueuedClassifier(
        classifier.bundle, classifier.engine, settings.coverage, settings.scan_limits
    )
    served.self_test()
    return served


def _flask_app(settings: Settings, served: QueuedClassifier) -> PrivateApp:
    """Return the application without its views, with what they ask it for."""
    app = PrivateApp(
        "brain_cnn", template_folder=resource("templates"), static_folder=str(resource("static"))
    )
    # No redirect: it would name the Host that the caller wrote.
    app.url_map.merge_slashes = False
    app.debug = False  # whatever FLASK_DEBUG says: its pages show the program and its memory
    app.config["MAX_CONTENT_LENGTH"] = settings.max_request_bytes
    app.config["READ_SECONDS"] = settings.read_seconds  # of web/runtime/worker.py
    app.config["MAX_FORM_PARTS"] = settings.max_form_parts
    if isinstance(app.json, DefaultJSONProvider):
        app.json.sort_keys = False  # the order of our documentation reads better
    app.extensions["brain_cnn.settings"] = settings
    app.extensions["brain_cnn.inference.classifier"] = served
    app.jinja_env.globals["static_url"] = static_url
    app.jinja_env.filters["percent"] = percent
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    return app


def serve() -> None:
    """Run one process without gunicorn, for a look at the page; debug stays off."""
    from werkzeug.serving import run_simple

    try:
        settings = Settings.from_env()
        app = create_app(settings)
    except BrainCnnError as error:
        sys.exit(f"Brain CNN cannot start: {error}")
    print(settings.describe(), file=sys.stderr)
    host, _, port = settings.bind.rpartition(":")
    run_simple(host, int(port), app, threaded=True)


def static_url(name: str) -> str:
    """Return the address of a static file, with its content's hash, so that caches may keep it."""
    return url_for("static", filename=name, v=_content_hash(name))


@cache
def _content_hash(name: str) -> str:
    return hashlib.sha256((resource("static") / name).read_bytes()).hexdigest()[:10]
