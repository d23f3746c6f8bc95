"""Counts and durations for Prometheus, right with several gunicorn processes too.

`prometheus_client` keeps the numbers of each process in a file that all processes can read
(`shared_metrics.py`); without gunicorn they are those of this process alone.
They hold nothing about a file or a person.
"""

from __future__ import annotations

import os
from pathlib import Path

from flask import Flask, current_app
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from brain_cnn.inference.classifier import Classifier
from brain_cnn.web.runtime.queue import EngineQueue
from brain_cnn.web.runtime.shared_metrics import VARIABLE, locked
from brain_cnn.web.runtime.trace import Trace

_EXTENSION = "brain_cnn.metrics"
CONTENT_TYPE = CONTENT_TYPE_LATEST

STAGES = ("upload", "queue", "read", "prepare", "network", "render", "total")

# Seconds: from a small picture to a study of hundreds of slices.
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The metrics of one application."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "brain_cnn_requests",
            "Requests that were answered.",
            ("endpoint", "method", "status"),
            registry=registry,
        )
        self.seconds = Histogram(
            "brain_cnn_stage_seconds",
            "Time that a request spent in a stage; render is what no other stage has.",
            ("stage",),
            buckets=_BUCKETS,
            registry=registry,
        )
        self.refusals = Counter(
            "brain_cnn_refusals", "Problems that were answered.", ("reason",), registry=registry
        )
        self.wrong_tokens = Counter(
            "brain_cnn_wrong_tokens",
            "Wrong tokens, and requests of addresses that had sent too many.",
            ("outcome",),
            registry=registry,
        )
        self.verdicts = Counter(
            "brain_cnn_verdicts",
            "Studies (a single slice is one) that were judged; unfamiliar ones have no label.",
            ("verdict", "label"),
            registry=registry,
        )
        self.slices = Counter("brain_cnn_slices", "Slices that were judged.", registry=registry)
        self._add_queue(registry)
        self.held = Gauge(
            "brain_cnn_held_bytes",
            "Bytes of uploads in memory.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.model = Gauge(
            "brain_cnn_model_info",
            "The model that answers; the value is always 1.",
            ("name", "version", "sha256", "engine"),
            registry=registry,
            multiprocess_mode="livemax",
        )
        # Looked up once: finding a child by its label costs more than counting.
        self._stages = {stage: self.seconds.labels(stage) for stage in STAGES}

    def _add_queue(self, registry: CollectorRegistry) -> None:
        self.running = Gauge(
            "brain_cnn_queue_running",
            "Requests that hold a slot of the engine.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.waiting = Gauge(
            "brain_cnn_queue_waiting",
            "Requests that wait for a slot of the engine.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.slot_age = Gauge(
            "brain_cnn_slot_age_seconds",
            "For how long the slot that is held longest has been held; 0 where none is.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.overdue = Gauge(
            "brain_cnn_slots_overdue",
            "Requests that still work although their slot was taken back.",
            registry=registry,
            multiprocess_mode="livesum",
        )

    def say_model(self, classifier: Classifier) -> None:
        """Set the model's name and version."""
        bundle = classifier.bundle
        self.model.labels(bundle.name, bundle.version, bundle.sha256, classifier.engine.name).set(1)

    def queue_changed(self, running: int, waiting: int) -> None:
        """Set the lengths of the queue."""
        self.running.set(running)
        self.waiting.set(waiting)

    def slots_seen(self, queue: EngineQueue) -> None:
        """Set the age of the oldest slot, and how many were taken back."""
        self.slot_age.set(queue.oldest_s)
        self.overdue.set(queue.overdue)

    def request_done(
        self, trace: Trace, endpoint: str, method: str, status: int, durations: dict[str, float]
    ) -> None:
        """Count an answered request and everything in its trace."""
        self.requests.labels(endpoint, method, str(status)).inc()
        if trace.refusal:
            self.refusals.labels(trace.refusal).inc()
        if not trace.slices:
            return  # health checks and static files would drown the durations of answers
        for stage, seconds in durations.items():
            if stage in self._stages:
                self._stages[stage].observe(seconds)
        self.slices.inc(trace.slices)
        for verdict, label in trace.verdicts:
            self.verdicts.labels(verdict, label).inc()

    def page(self) -> bytes:
        """Return the numbers of all processes in Prometheus text format."""
        directory = os.environ.get(VARIABLE)
        if not directory:
            return generate_latest(self.registry)
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        with locked(Path(directory)):
            return generate_latest(registry)


def install_metrics(app: Flask, metrics: Metrics) -> None:
    """Make `metrics` those of `app`."""
    app.extensions[_EXTENSION] = metrics


def metrics() -> Metrics:
    """Return the metrics of this application."""
    return metrics_of(current_app)


def metrics_of(app: Flask) -> Metrics:
    """Return the metrics of `app`."""
    metrics: Metrics = app.extensions[_EXTENSION]
    return metrics
