"""`create_app`: settings and a model in, a WSGI application out."""

from __future__ import annotations

import hashlib
import logging
import sys
from functools import cache
from pathlib import Path

import cv2
from flask import Flask, url_for
from flask.json.provider import DefaultJSONProvider

from brain_cnn.classifier import Classifier, load_classifier
from brain_cnn.errors import BrainCnnError
from brain_cnn.web import api, ops, pages
from brain_cnn.web.problems import handle_errors
from brain_cnn.web.security import protect
from brain_cnn.web.settings import Settings

_ROOT = Path(__file__).resolve().parents[2]


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
    _log_to_stderr()
    # OpenCV's own threads help one large picture and hurt many small ones at once.
    cv2.setNumThreads(1)
    if classifier is None:
        classifier = load_classifier(
            settings.model_path,
            settings.engine,
            settings.coverage,
            threads=settings.engine_threads,
            limits=settings.scan_limits,
        )
    else:
        classifier = Classifier(
            classifier.bundle, classifier.engine, settings.coverage, settings.scan_limits
        )
    classifier.self_test()

    app = Flask(
        "brain_cnn", template_folder=_ROOT / "templates", static_folder=str(_ROOT / "static")
    )
    app.config["MAX_CONTENT_LENGTH"] = settings.max_request_bytes
    app.config["MAX_FORM_PARTS"] = settings.max_form_parts
    if isinstance(app.json, DefaultJSONProvider):
        app.json.sort_keys = False  # the order of our documentation reads better
    app.extensions["brain_cnn.settings"] = settings
    app.extensions["brain_cnn.classifier"] = classifier
    app.jinja_env.globals["static_url"] = static_url
    app.jinja_env.filters["percent"] = pages.percent
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    protect(app)
    handle_errors(app)
    for module in (pages, api, ops):
        app.register_blueprint(module.blueprint)
    logging.getLogger("brain_cnn").info(
        "model %s %s (%s), engine %s",
        classifier.bundle.name,
        classifier.bundle.version,
        classifier.bundle.sha256[:12],
        classifier.engine.name,
    )
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
    return hashlib.sha256((_ROOT / "static" / name).read_bytes()).hexdigest()[:10]


def _log_to_stderr() -> None:
    """Give our own log a place, unless the embedding program already did."""
    logger = logging.getLogger("brain_cnn")
    logger.setLevel(logging.INFO)
    if not logger.handlers and not logging.getLogger().handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
