"""The whole job: walk, leave out what has its row, score in chunks, write finished parts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TextIO

from brain_cnn.batch.formats import check_format
from brain_cnn.batch.parts import Results
from brain_cnn.batch.progress import Progress
from brain_cnn.batch.settings import Chunk, JobSettings
from brain_cnn.batch.stream import Scored, score
from brain_cnn.batch.walk import Item, walk
from brain_cnn.errors import SettingsError
from brain_cnn.inference.classifier import Classifier, load_classifier

_CHUNK_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True)
class JobResult:
    """What the folder of results holds after a job.

    Attributes:
        files: rows, those of earlier runs too. errors: rows with an error among them.
        scored: files that this run judged. slices: slices that this run judged.
    """

    files: int
    errors: int
    scored: int
    slices: int


def run_job(
    settings: JobSettings,
    progress: TextIO | None = sys.stderr,
    told: Callable[[int], None] | None = None,
) -> JobResult:
    """Score an archive, or what an earlier run left of it.

    Every file gets exactly one row, in whatever way earlier runs ended. Batches are judged in
    threads, one more than there are cores; `load_classifier` holds NumPy's BLAS to one thread
    for that.

    Args:
        progress: where the progress goes; None means nowhere.
        told: called after each part with the number of files that this run has judged.

    Raises:
        BundleError: the model cannot be loaded.
        SettingsError: a setting does not fit, or the folder of results is not of this job.
        KeyboardInterrupt: stopped; the finished parts stay, and the same call goes on.
        OSError: the results cannot be written.
    """
    _check(settings)
    model = load_classifier(settings.model, settings.engine, settings.coverage, threads=1)
    results = Results(settings.out, settings.form, _what_rows_depend_on(settings, model))
    try:
        before = sum(part.files for part in results.parts)
        errors = sum(part.errors for part in results.parts)
        shown = Progress(lambda: walk(settings.root, settings.out), progress, before)
        files = slices = 0
        try:
            done = results.done()
            chunks = waiting(settings, done.has)
            for number, scored in _scored(settings, model, chunks, progress):
                tables = [row for one in scored for row in one.slices]
                results.write(
                    number, [one.row for one in scored], tables if settings.score.slices else None
                )
                wrong = sum(one.row["error_code"] is not None for one in scored)
                judged = sum(one.slice_count for one in scored)
                files, errors, slices = files + len(scored), errors + wrong, slices + judged
                shown.add(len(scored), judged, wrong)
                if told is not None:
                    told(files)
        finally:
            shown.close()
        return JobResult(before + files, errors, files, slices)
    finally:
        results.close()


def chunks_of(items: Iterable[Item], part_files: int) -> Iterator[list[Item]]:
    """Cut a walk into stretches, in the same places each time."""
    chunk: list[Item] = []
    size = 0
    for item in items:
        chunk.append(item)
        size += max(item.size, 0)
        if len(chunk) >= part_files or size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def waiting(settings: JobSettings, has_row: Callable[[str], bool]) -> Iterator[Chunk]:
    """Yield the chunks of the walk, without the files that have their row."""
    items = walk(settings.root, settings.out)
    for number, chunk in enumerate(chunks_of(items, settings.part_files)):
        left = tuple(item for item in chunk if not has_row(item.path))
        if left:
            yield Chunk(number, left)


def _scored(
    settings: JobSettings, model: Classifier, chunks: Iterator[Chunk], progress: TextIO | None
) -> Iterator[tuple[int, list[Scored]]]:
    """Yield the number of each chunk with what came of its files."""
    if settings.workers or settings.cluster:
        # Imported where it is needed: most jobs run without Dask.
        from brain_cnn.batch.cluster import score_on_cluster

        yield from score_on_cluster(settings, model.bundle.fingerprint, chunks, progress)
        return
    order: list[tuple[int, int]] = []  # (number, files) of chunks that are under way

    def items() -> Iterator[Item]:
        for chunk in chunks:
            order.append((chunk.number, len(chunk.items)))
            yield from chunk.items

    scored: list[Scored] = []
    # Batches reach over the ends of chunks: nothing waits while a part is written.
    for one in score(model, items(), settings.score):
        scored.append(one)
        if len(scored) == order[0][1]:
            yield order.pop(0)[0], scored
            scored = []


def _check(settings: JobSettings) -> None:
    check_format(settings.form)
    if not settings.root.exists():
        raise SettingsError("no-root", f"There is no {settings.root}.", "Name the archive.")
    if settings.workers and settings.cluster:
        raise SettingsError(
            "two-clusters", "--workers and --cluster were both given.", "Give one of them."
        )
    for name, value, least in (
        ("--workers", settings.workers, 0),
        ("--part-files", settings.part_files, 1),
        ("--readers", settings.score.readers, 1),
    ):
        if value < least:
            raise SettingsError("bad-setting", f"{name} is {value}.", f"Give at least {least}.")


def _what_rows_depend_on(settings: JobSettings, model: Classifier) -> dict[str, Any]:
    return {
        "model": f"{model.bundle.name} {model.bundle.version}",
        "model_fingerprint": model.bundle.fingerprint,
        "engine": settings.engine,
        "coverage": settings.coverage,
        "plane": settings.score.plane,
        "force": settings.score.force,
        "slices": settings.score.slices,
        "part_files": settings.part_files,
    }
