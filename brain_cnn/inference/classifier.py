"""`Classifier`: bytes of a file -> `Diagnosis`."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from brain_cnn.errors import BundleError, ScanError, SettingsError
from brain_cnn.inference.answer import Answer, SeriesAnswer
from brain_cnn.inference.bundle import Bundle, load_bundle
from brain_cnn.inference.diagnosis import Diagnosis, Prediction, class_heat
from brain_cnn.inference.engines import Engine, hold_helpers, make_engine
from brain_cnn.inference.inputs import Input, as_bytes, is_single
from brain_cnn.inference.predictor import Batch, Predictor
from brain_cnn.inference.study import StudyDiagnosis, judge_study
from brain_cnn.labels import LABELS
from brain_cnn.scan import Scan, ScanLimits, main_series, read_files
from brain_cnn.scan.modality import check_modality

__all__ = ["Answer", "Classifier", "Progress", "SeriesAnswer", "load_classifier"]

Progress = Callable[[int, int], None]
"""Called with the number of slices that are judged and of those that there are."""


class Classifier:
    """A model that is loaded and ready; safe to use from several threads.

    Args:
        bundle: a checked bundle.
        engine: what runs its network.
        coverage: target coverage of the prediction sets; one that the bundle was calibrated for.
        limits: bounds on the files that are read.

    Raises:
        SettingsError: the bundle has no prediction sets for `coverage`.
    """

    def __init__(
        self,
        bundle: Bundle,
        engine: Engine,
        coverage: float = 0.95,
        limits: ScanLimits | None = None,
    ) -> None:
        self.bundle = bundle
        self.engine = engine
        self.coverage = coverage
        self.limits = limits or ScanLimits()
        bundle.calibration.prediction_set(np.full(len(LABELS), 1 / len(LABELS)), coverage)

    def classify(self, data: Input, *, force: bool = False, plane: str = "axial") -> Diagnosis:
        """Judge a file and return the diagnosis of its most telling slice.

        Args:
            data: bytes of any supported file, its path, an open file, or the slice as an array
                (uint8, (H, W) or (H, W, 3)).
            force: also judge a scan that its header calls something else than an MRI.
            plane: which slices are taken from a NIfTI volume.

        Raises:
            ScanError: the file cannot be read, or is no MRI.
            TypeError: `data` is none of these.
            ValueError: an unknown plane.
        """
        return self.classify_study(data, force=force, plane=plane).most_telling

    def classify_study(
        self,
        data: Input | Sequence[Input],
        *,
        force: bool = False,
        plane: str = "axial",
        progress: Progress | None = None,
    ) -> StudyDiagnosis:
        """Judge all slices of a file, or of the files of one series, and the study as a whole.

        Args:
            data: as in `classify`, or a sequence of those that belong together. Of
                several series the one with the most slices is judged, and a note says so.
            force, plane: as in `classify`.
            progress: called after each batch of slices.

        Raises:
            ScanError: nothing can be read, or it is no MRI.
            ValueError: an unknown plane, or no file.
        """
        # `is_single` tells a sequence from an input, which mypy cannot follow.
        files: list[Any] = [data] if is_single(data) else list(data)  # type: ignore[arg-type]
        if not files:
            raise ValueError("no file was given")
        start = time.perf_counter()
        series, problems = read_files([as_bytes(f) for f in files], limits=self.limits, plane=plane)
        if not series:
            raise problems[0]
        scan = main_series(series).scan
        return self.judge_scan(
            scan, force=force, read_seconds=time.perf_counter() - start, progress=progress
        )

    def classify_together(
        self,
        files: Sequence[bytes],
        *,
        force: bool = False,
        plane: str = "axial",
        progress: Progress | None = None,
    ) -> Answer:
        """Judge files that were uploaded together, series by series.

        Args:
            files: whole files, in the order of the upload.
            force, plane, progress: as in `classify_study`.

        Returns:
            One answer for each series, and for each file that cannot be read its error.

        Raises:
            ValueError: an unknown plane.
        """
        start = time.perf_counter()
        found, problems = read_files(files, limits=self.limits, plane=plane)
        seconds = time.perf_counter() - start
        total = sum(len(one.scan.slices) for one in found)
        done = 0
        answers = []
        for one in found:
            report = _shifted(progress, done, total)
            study: StudyDiagnosis | ScanError
            try:
                study = self.judge_scan(
                    one.scan,
                    force=force,
                    read_seconds=seconds * len(one.scan.slices) / total,
                    progress=report,
                )
            except ScanError as error:
                study = error
            done += len(one.scan.slices)
            answers.append(SeriesAnswer(one, study))
        return Answer(answers, problems)

    def judge_scan(
        self,
        scan: Scan,
        *,
        force: bool = False,
        read_seconds: float = 0.0,
        progress: Progress | None = None,
    ) -> StudyDiagnosis:
        """Judge a scan that was read.

        Raises:
            ScanError: 422, its header calls it something else than an MRI, without `force`.
        """
        check_modality(scan, force)  # before anything costs time
        return self.study_of(scan, self.classify_scan(scan, read_seconds, progress), force=force)

    def study_of(
        self, scan: Scan, slices: Sequence[Diagnosis], *, force: bool = False
    ) -> StudyDiagnosis:
        """Return the answer for a scan whose slices were judged, in their order.

        Raises:
            ScanError: as `judge_scan`.
        """
        foreign = check_modality(scan, force)
        study = judge_study(slices, self.bundle.calibration, self.coverage, scan.facts.weighting)
        positions = tuple(s.position_mm for s in scan.slices)
        return replace(study, facts=scan.facts, positions_mm=positions, forced=foreign)

    def classify_many(self, files: Sequence[Input]) -> list[Diagnosis | ScanError]:
        """Judge several files; a bad one gives its `ScanError` in its place."""
        results: list[Diagnosis | ScanError] = []
        for data in files:
            try:
                results.append(self.classify(data))
            except ScanError as error:
                results.append(error)
        return results

    def classify_scan(
        self, scan: Scan, read_seconds: float = 0.0, progress: Progress | None = None
    ) -> list[Diagnosis]:
        """Judge every slice of a scan, in batches; one diagnosis per slice, in order."""
        diagnoses: list[Diagnosis] = []
        count = len(scan.slices)
        read_ms = _ms(read_seconds / max(count, 1))
        predictor = Predictor(self.engine.run, self.bundle.input_size)
        for batch in predictor.batches(s.pixels for s in scan.slices):
            start = time.perf_counter()
            predictions = self._predict(batch)
            network_s = batch.network_s + time.perf_counter() - start
            timing = {
                "read": read_ms,
                "prepare": _ms(batch.prepare_s / len(predictions)),
                "network": _ms(network_s / len(predictions)),
            }
            for row, prediction in enumerate(predictions):
                place = len(diagnoses)
                diagnoses.append(
                    Diagnosis(
                        **vars(prediction),
                        pixels=scan.slices[place].pixels,
                        heat=class_heat(batch.output.class_maps[row]),
                        prepared=batch.prepared[row],
                        slice_index=place,
                        slice_count=count,
                        scan_format=scan.format,
                        notes=scan.notes,
                        timing_ms=timing,
                    )
                )
            if progress is not None:
                progress(len(diagnoses), count)
        return diagnoses

    def _predict(self, batch: Batch) -> list[Prediction]:
        return self.bundle.calibration.predict(batch.output, batch.tensors, self.coverage)

    def self_test(self) -> None:
        """Send the file of a drawn slice the whole way: reader, engine, calibration.

        Raises:
            BundleError: the answer is not a probability of each class.
        """
        rows, columns = np.mgrid[-1:1:128j, -1:1:128j]
        head = np.where(rows**2 + (columns * 1.2) ** 2 < 0.6, 140, 0).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(head).save(file, "JPEG")
        total = sum(self.classify(file.getvalue()).probabilities.values())
        if not abs(total - 1) < 1e-6:  # also true for NaN
            raise BundleError(
                "self-test-failed",
                f"The model's self-test failed: its probabilities sum to {total}.",
                "Restore the model folder, or train again.",
            )


def _shifted(progress: Progress | None, before: int, total: int) -> Progress | None:
    if progress is None:
        return None
    return lambda done, _: progress(before + done, total)


def load_classifier(
    path: str | Path | None = None,
    engine: str = "ncnn",
    coverage: float = 0.95,
    *,
    threads: int | None = None,
    blas_threads: int | None = 1,
    limits: ScanLimits | None = None,
) -> Classifier:
    """Load a model folder and start its engine.

    Args:
        path: the folder; None means `BRAIN_CNN_MODEL`, else the shipped bundle.
        engine: "ncnn", "onnx" or "tensorflow".
        coverage: target coverage of the prediction sets, 0.90, 0.95 or 0.99.
        threads: threads of one forward pass; None lets the engine choose.
        blas_threads: held to by NumPy's BLAS and OpenCV in the whole process from now on (see
            `engine.hold_helpers`); None leaves them alone, and a forward pass may take twice as
            long.
        limits: bounds on the files that are read.

    Raises:
        BundleError: the bundle is missing, damaged, or cannot be run.
        SettingsError: an unknown engine or coverage.
    """
    if not 0 < coverage < 1:
        raise SettingsError("bad-coverage", f"A coverage of {coverage} is not between 0 and 1.")
    if blas_threads is not None:
        hold_helpers(blas_threads)
    bundle = load_bundle(Path(path) if path is not None else None)
    return Classifier(bundle, make_engine(bundle, engine, threads), coverage, limits)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)
