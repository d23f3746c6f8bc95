"""The stream in the middle: items in, a scored file out, in the same order, in flat memory.

Threads read and decode files ahead of the engine. Slices are gathered over files into full
batches, and batches are judged in threads. Whatever waits is bounded: files being read (by
number and bytes) and batches in the engine.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from brain_cnn.batch.rows import Row, row_of, slice_rows
from brain_cnn.batch.walk import Item, Opener
from brain_cnn.cores import cores
from brain_cnn.errors import ScanError
from brain_cnn.inference.classifier import Classifier
from brain_cnn.inference.diagnosis import Diagnosis
from brain_cnn.scan import Scan, Slice, read_scan
from brain_cnn.scan.modality import check_modality

_AHEAD_FILES = 96
_AHEAD_BYTES = 64 * 1024 * 1024
_MOST_OPEN = 512  # files whose rows wait for a batch


@dataclass(frozen=True)
class ScoreSettings:
    """How files are judged.

    Attributes:
        force: also judge a scan that its header calls something else than an MRI.
        plane: which slices are taken from a NIfTI volume.
        slices: also make a row for each slice.
        batch: slices that go through the network together, over files.
        readers: threads that read and decode; more hide a slow storage.
        judges: batches that are judged at once; 0 means one more than there are cores, since
            what they do in Python they do one at a time.
    """

    force: bool = False
    plane: str = "axial"
    slices: bool = False
    batch: int = 8
    readers: int = 4
    judges: int = 0


@dataclass(frozen=True)
class Scored:
    """One file, done.

    Attributes:
        row: as `rows.COLUMNS`.
        slices: as `rows.SLICE_COLUMNS`; empty unless they were asked for.
        slice_count: slices that were judged.
    """

    row: Row
    slices: list[Row] = field(default_factory=list)
    slice_count: int = 0


@dataclass(eq=False)
class _File:
    """A file on its way."""

    item: Item
    read: Future[Scan]
    scan: Scan | None = None
    error: ScanError | None = None
    judged: list[Diagnosis] = field(default_factory=list)

    @property
    def done(self) -> bool:
        return self.error is not None or (
            self.scan is not None and len(self.judged) == len(self.scan.slices)
        )


def score(model: Classifier, items: Iterable[Item], settings: ScoreSettings) -> Iterator[Scored]:
    """Judge files as a stream, in their order; a bad one gives its error in its row.

    The rows equal those of `Classifier.classify_study` on each file, up to the rounding of
    a network that sees other slices in the same batch.

    Args:
        model: loaded once; its engine should use one thread, since several batches are
            judged at once.
        items: drawn as they are needed.

    A program of its own runs this within `switching.quick_switches`, which saves a part of
    the waiting of threads for each other.
    """
    stream = _Stream(model, settings)
    try:
        yield from stream.run(iter(items))
    finally:
        stream.stop()


class _Stream:
    def __init__(self, model: Classifier, settings: ScoreSettings) -> None:
        self._model = model
        self._settings = settings
        judges = settings.judges or cores() + 1
        self._readers = ThreadPoolExecutor(settings.readers, "read")
        self._judges = ThreadPoolExecutor(judges, "judge")
        self._most_batches = judges + 1
        self._local = threading.local()
        self._openers: list[Opener] = []
        self._ahead: deque[_File] = deque()  # being read
        self._ahead_bytes = 0
        self._open: deque[_File] = deque()  # read, not yet given out
        self._slices: list[tuple[_File, Slice]] = []  # wait for a full batch
        self._batches: deque[tuple[list[_File], Future[list[Diagnosis]]]] = deque()

    def run(self, items: Iterator[Item]) -> Iterator[Scored]:
        more = True
        while more or self._ahead:
            while more and self._may_read():
                item = next(items, None)
                more = item is not None
                if item is not None:
                    self._start(item)
            if self._ahead:
                self._take(self._ahead.popleft())
            if len(self._open) > _MOST_OPEN:
                # Few pictures among much junk: rows must not pile up behind a half batch.
                self._flush()
            yield from self._finished()
        self._flush()
        yield from self._finished()

    def stop(self) -> None:
        self._readers.shutdown(wait=True, cancel_futures=True)
        self._judges.shutdown(wait=True, cancel_futures=True)
        for opener in self._openers:
            opener.close()

    def _may_read(self) -> bool:
        if not self._ahead:
            return True
        return len(self._ahead) < _AHEAD_FILES and self._ahead_bytes < _AHEAD_BYTES

    def _start(self, item: Item) -> None:
        self._ahead.append(_File(item, self._readers.submit(self._read, item)))
        self._ahead_bytes += max(item.size, 0)

    def _read(self, item: Item) -> Scan:
        if not hasattr(self._local, "opener"):
            self._local.opener = Opener(self._model.limits)
            self._openers.append(self._local.opener)
        data = self._local.opener.read(item)
        try:
            return read_scan(data, limits=self._model.limits, plane=self._settings.plane)
        except ScanError:
            raise
        except Exception as error:  # a fault of ours must not end a job of a week
            raise ScanError(
                "internal-error", f"Reading this file failed by our fault: {type(error).__name__}."
            ) from error

    def _take(self, file: _File) -> None:
        """Wait for a file, and send its slices on."""
        self._ahead_bytes -= max(file.item.size, 0)
        self._open.append(file)
        try:
            file.scan = file.read.result()
            check_modality(file.scan, self._settings.force)
        except ScanError as error:
            file.error = error
            return
        self._slices.extend((file, one) for one in file.scan.slices)
        while len(self._slices) >= self._settings.batch:
            self._submit(self._slices[: self._settings.batch])
            del self._slices[: self._settings.batch]

    def _submit(self, slices: list[tuple[_File, Slice]]) -> None:
        if not slices:
            return
        while len(self._batches) >= self._most_batches:
            self._collect()
        together = Scan(tuple(one for _, one in slices), "batch")
        future = self._judges.submit(self._model.classify_scan, together)
        self._batches.append(([file for file, _ in slices], future))

    def _flush(self) -> None:
        self._submit(self._slices)
        self._slices = []
        while self._batches:
            self._collect()

    def _collect(self) -> None:
        """Wait for the oldest batch, and hand its answers to their files."""
        files, future = self._batches.popleft()
        for file, answer in zip(files, future.result(), strict=True):
            assert file.scan is not None
            file.judged.append(
                replace(
                    answer,
                    slice_index=len(file.judged),
                    slice_count=len(file.scan.slices),
                    scan_format=file.scan.format,
                    notes=file.scan.notes,
                )
            )

    def _finished(self) -> Iterator[Scored]:
        while self._open and self._open[0].done:
            yield self._scored(self._open.popleft())

    def _scored(self, file: _File) -> Scored:
        if file.scan is None or file.error is not None:
            assert file.error is not None
            return Scored(row_of(file.item, file.error, self._model.bundle))
        study = self._model.study_of(file.scan, file.judged, force=self._settings.force)
        rows = slice_rows(file.item, study) if self._settings.slices else []
        return Scored(row_of(file.item, study, self._model.bundle), rows, len(file.judged))
