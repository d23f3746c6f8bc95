"""The classifier as the server uses it: behind the queue, with its verdicts counted."""

from __future__ import annotations

from collections.abc import Sequence

from brain_cnn.inference.answer import Answer
from brain_cnn.inference.classifier import Classifier, Progress
from brain_cnn.inference.diagnosis import UNFAMILIAR, Diagnosis
from brain_cnn.inference.inputs import Input
from brain_cnn.inference.study import StudyDiagnosis
from brain_cnn.scan import Scan
from brain_cnn.web.runtime.queue import hold_slot
from brain_cnn.web.runtime.trace import Trace, trace_or_none


class QueuedClassifier(Classifier):
    """Takes an engine slot for everything that a request judges, so that no view can forget."""

    def classify_study(
        self,
        data: Input | Sequence[Input],
        *,
        force: bool = False,
        plane: str = "axial",
        progress: Progress | None = None,
    ) -> StudyDiagnosis:
        """As the base; raises `Busy` too."""
        _take_slot()
        return super().classify_study(data, force=force, plane=plane, progress=progress)

    def classify_together(
        self,
        files: Sequence[bytes],
        *,
        force: bool = False,
        plane: str = "axial",
        progress: Progress | None = None,
    ) -> Answer:
        """As the base; raises `Busy` too."""
        _take_slot()
        return super().classify_together(files, force=force, plane=plane, progress=progress)

    def judge_scan(
        self,
        scan: Scan,
        *,
        force: bool = False,
        read_seconds: float = 0.0,
        progress: Progress | None = None,
    ) -> StudyDiagnosis:
        """As the base, and the verdict goes to the request's trace."""
        study = super().judge_scan(scan, force=force, read_seconds=read_seconds, progress=progress)
        trace = _served_trace()
        if trace is not None:
            label = "" if study.verdict == UNFAMILIAR else study.label
            trace.verdicts.append((study.verdict, label))
        return study

    def classify_scan(
        self, scan: Scan, read_seconds: float = 0.0, progress: Progress | None = None
    ) -> list[Diagnosis]:
        """As the base, and the durations go to the request's trace."""
        _take_slot()
        diagnoses = super().classify_scan(scan, read_seconds, progress)
        trace = _served_trace()
        if trace is not None:
            trace.slices += len(diagnoses)
            for diagnosis in diagnoses:
                for stage, milliseconds in diagnosis.timing_ms.items():
                    trace.add(stage, milliseconds / 1000)
        return diagnoses


def _served_trace() -> Trace | None:
    """Return the trace of a request that somebody waits for; None outside, and for health."""
    trace = trace_or_none()
    return trace if trace is not None and trace.takes_slots else None


def _take_slot() -> None:
    """Take a slot of the engine for this request, which keeps it until its answer is made.

    What is drawn from a large study needs as much memory as judging it did.
    """
    trace = _served_trace()
    if trace is not None and trace.slot is None:
        hold_slot()
